"""Compiled kernels: where they are kept, and a word while they are made for the first time."""

from __future__ import annotations

import os
from pathlib import Path

import click

from sac_wsi.system.disk import user_temporary_folder

_PACKAGE = Path(__file__).parent.parent


def keep_kernels_somewhere() -> None:
    """Give numba a folder of its own where neither the package nor a home can be written (containers).

    It would refuse to import otherwise. Must run before numba is imported; workers inherit it.
    """
    if "NUMBA_CACHE_DIR" in os.environ or os.access(_PACKAGE, os.W_OK):
        return
    home = Path("~").expanduser()
    if not (home.is_dir() and os.access(home, os.W_OK)):
        os.environ["NUMBA_CACHE_DIR"] = str(user_temporary_folder("sac-wsi-kernels"))


def announce_compilation() -> None:
    """The first run after an installation compiles for half a minute: say so."""
    kept = [_PACKAGE, Path(os.environ.get("NUMBA_CACHE_DIR", Path.home() / ".cache" / "numba"))]
    if not any(next(folder.rglob("*.nbi"), None) for folder in kept if folder.is_dir()):
        click.echo("First run: compiling the kernels takes about half a minute, once.", err=True)
