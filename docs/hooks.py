"""Add pages to the site when it is built: those made from the code, and those that lie outside of docs/."""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS))

import reference_pages  # noqa: E402

GENERATED = {
    "reference/settings.md": reference_pages.settings_page,
    "reference/commands.md": reference_pages.commands_page,
    "reference/api.md": reference_pages.api_page,
}
RESULTS = "benchmarks/results"
PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"} | {
    f"{RESULTS}/{path.name}": f"results/{path.name.replace('README', 'index')}"
    for path in sorted((ROOT / RESULTS).iterdir())
}
"""Files outside of docs/ that become pages."""
SOURCES = {uri: path for path, uri in PAGES.items()}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages."""
    for uri, page in GENERATED.items():
        files.append(File.generated(config, uri, content=page()))
    for path, uri in PAGES.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point links to files of the repository at their pages, so that they work in both places."""
    here = page.file.src_uri
    path = SOURCES.get(here, f"docs/{here}")

    def moved(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), match[1]))
        uri = PAGES.get(target, target.removeprefix("docs/"))
        return f"]({posixpath.relpath(uri, posixpath.dirname(here) or '.')}"

    return re.sub(r"\]\((?!\w+:|#)([\w./-]+)", moved, markdown)
