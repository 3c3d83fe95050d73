"""Where compiled numba kernels are kept, and a message before the first compilation."""

from __future__ import annotations

import os
from pathlib import Path

import click

from sac_wsi.system.disk import user_temporary_folder

_PACKAGE = Path(__file__).parent.parent


def set_kernel_folder() -> None:
    """Give numba a temporary folder if neither the package nor the home folder is writable (containers).

    Otherwise numba would fail at import. Call this before numba is imported; worker processes inherit it.
    """
    if "NUMBA_CACHE_DIR" in os.environ or os.access(_PACKAGE, os.W_OK):
        return
    home = Path("~").expanduser()
    if not (home.is_dir() and os.access(home, os.W_OK)):
        os.environ["NUMBA_CACHE_DIR"] = str(user_temporary_folder("sac-wsi-kernels"))


def announce_compilation() -> None:
    """Print a line if no kernel is compiled yet: the first run after an installation compiles for 30 s."""
    folders = [_PACKAGE, Path(os.environ.get("NUMBA_CACHE_DIR", Path.home() / ".cache" / "numba"))]
    if not any(next(folder.rglob("*.nbi"), None) for folder in folders if folder.is_dir()):
        click.echo("First run: compiling the kernels takes about half a minute, once.", err=True)
