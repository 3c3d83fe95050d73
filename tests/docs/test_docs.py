"""The documentation is true: its code runs, its references and its picture are complete."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(
    r"(?:^[ ]*<!-- (?P<mark>.*?) -->\n+)?^(?P<indent>[ ]*)```(?P<kind>python|bash)\n(?P<code>.*?)^[ ]*```$",
    re.MULTILINE | re.DOTALL,
)
MOST_README_WORDS = 800
MOST_PICTURE_BYTES = 300_000


def load(name):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks_of(page):
    """Code blocks of a page that run, as (kind, code), in order."""
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        mark = match["mark"] or ""
        if not mark.startswith(("not run: ", "command: ")):
            yield match["kind"], re.sub(rf"^{match['indent']}", "", match["code"], flags=re.MULTILINE)


RUNNABLE = {page.relative_to(ROOT).as_posix(): list(blocks_of(page)) for page in PAGES}
RUNNABLE = {page: blocks for page, blocks in RUNNABLE.items() if blocks}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder as `sac-wsi demo` leaves it, of a small slide, which is there as slide.svs too.

    The result is there as nuclei.geojson too, so that the same run is found to be finished, not repeated.
    """
    from sac_wsi import segment_slide
    from sac_wsi.testing import SyntheticSlide

    folder = tmp_path_factory.mktemp("docs")
    (folder / "demo").mkdir()
    SyntheticSlide(seed=7, shape_yx=(700, 700)).write_tiff(folder / "demo" / "slide.tiff")
    # the copied run below looks for its slide beside its store, under the name that it had
    for name in ("slide.svs", "slide.tiff"):
        shutil.copy(folder / "demo" / "slide.tiff", folder / name)
    segment_slide(folder / "demo" / "slide.tiff", folder / "demo" / "nuclei.geojson")
    shutil.copy(folder / "demo" / "nuclei.geojson", folder)
    shutil.copytree(folder / "demo" / "nuclei.zarr", folder / "nuclei.zarr")
    model = ROOT / "sac_wsi" / "weights" / "sac-tiny.safetensors"
    shutil.copy(model, folder / "MODEL")
    return folder


def run(command, folder):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"


def joined(blocks):
    """Neighbouring blocks of one language as one, so that names of one block are known to the next."""
    together = []
    for kind, code in blocks:
        if together and together[-1][0] == kind:
            together[-1] = (kind, f"{together[-1][1]}\n{code}")
        else:
            together.append((kind, code))
    return together


@pytest.mark.parametrize("page", RUNNABLE)
def test_code_blocks_run(page, prepared, tmp_path):
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    for kind, code in joined(RUNNABLE[page]):
        run(
            ["bash", "-euo", "pipefail", "-c", code] if kind == "bash" else [sys.executable, "-c", code],
            tmp_path,
        )


def test_the_example_runs(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    run([sys.executable, str(ROOT / "examples" / "segment_and_measure.py"), "demo/slide.tiff"], tmp_path)
    assert (tmp_path / "segment_and_measure" / "round.geojson").is_file()


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= MOST_README_WORDS


@pytest.mark.parametrize("page", [page.relative_to(ROOT).as_posix() for page in PAGES])
def test_links_between_files_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", text):
        # reference pages are made when the site is built
        if not re.search(r"reference/\w+\.md$", target):
            assert (ROOT / page).parent.joinpath(target).exists(), target


def test_pictures_are_small():
    pictures = list((DOCS / "pictures").iterdir())
    assert pictures
    assert all(path.stat().st_size < MOST_PICTURE_BYTES for path in pictures)


def test_the_picture_of_imports_is_current():
    draw_layers = load("draw_layers")
    svg, _ = draw_layers.draw()
    assert draw_layers.SVG.read_text(encoding="utf-8") == svg, "run python docs/draw_layers.py"


def test_every_folder_is_described():
    text = (DOCS / "architecture" / "index.md").read_text(encoding="utf-8")
    folders = {folder for layer in load("draw_layers").read_layers() for folder in layer}
    assert not [folder for folder in folders - {"__main__"} if f"`{folder}`" not in text]


def test_every_setting_is_in_the_reference_with_its_meaning():
    pages = load("reference_pages")
    text = pages.settings_page()
    missing = [name for name in pages.setting_names() if f"| `{name}` |" not in text]
    assert not missing
    unexplained = [line for line in text.splitlines() if line.startswith("| `") and line.endswith("|  |")]
    assert not unexplained


def test_every_command_and_option_is_in_the_reference():
    pages = load("reference_pages")
    text = pages.commands_page()
    for words, command in pages.all_commands():
        assert f" {words}\n" in text
        for option in command.params:
            if option.param_type_name == "option":
                assert f"`{option.opts[0]}" in text, f"{words} {option.opts[0]}"


def test_every_public_name_is_in_the_reference():
    import sac_wsi
    from sac_wsi import testing

    text = load("reference_pages").api_page()
    for name in [*sac_wsi.__all__, *(f"testing.{name}" for name in testing.__all__)]:
        assert f"heading: sac_wsi.{name}\n" in text


def test_troubleshooting_quotes_messages_that_exist():
    page = (DOCS / "howto" / "troubleshooting.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)
    quoted = [text for row in rows for text in re.findall(r"`([^`]+)`", row)]
    # messages are split over lines and hold names in braces: compare their words only
    source = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "sac_wsi").rglob("*.py"))
    source = re.sub(r"\"\s+f?\"", "", source)
    source = re.sub(r"\{[^{}]*\}", " ", source)
    source = " ".join(source.split())
    missing = [text for text in quoted if " ".join(text.replace("sac-tiny", "").split()) not in source]
    assert not missing
