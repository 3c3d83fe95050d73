"""Remove and replace only what sac-wsi made: by a mark in a folder, and by the names that it gives.

No link is followed, and nothing but regular files and empty folders is removed.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from sac_wsi.files.atomic import make_folder
from sac_wsi.system.disk import WINDOWS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from re import Pattern

MARK = "made_by_sac_wsi"
"""Name of the file that marks a folder which sac-wsi made for its own files."""
_MARK_TEXT = b"sac-wsi made this folder for its own files, which it replaces and removes.\n"


def mark(folder: Path) -> None:
    """Write the mark into a folder that was just made."""
    with (folder / MARK).open("xb") as file:
        file.write(_MARK_TEXT)


def is_marked(folder: Path) -> bool:
    """Return whether the folder has the mark."""
    try:
        status = (folder / MARK).lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == len(_MARK_TEXT)


def claim_folder(folder: Path, instead: str = "Give another one.") -> None:
    """Make a folder, and mark it if it is new or empty; ``instead`` ends the message if it cannot be made."""
    make_folder(folder, instead)
    if not any(folder.iterdir()):
        mark(folder)


def is_in_own_folder(path: Path) -> bool:
    """Return whether a file lies in a folder that is marked, so that it may be replaced."""
    return is_marked(path.parent)


def first_foreign(folder: Path, own: Pattern[str]) -> str:
    """Return the name in a folder of something that does not match ``own``; "" if there is nothing else.

    Names are relative to the folder, with slashes; those of folders end with one.
    """
    foreign = (name for _, name in _entries(folder) if not own.fullmatch(name))
    return next(foreign, "").removesuffix(_NEITHER)


def remove_own(folder: Path, own: Pattern[str]) -> None:
    """Remove what matches ``own`` in a folder, and the folder if it is empty then."""
    for path, name in _entries(folder):
        if not own.fullmatch(name):
            continue
        if name.endswith("/"):
            _remove_if_empty(path)
        else:
            _unlink(path)
    _remove_if_empty(folder)


_NEITHER = "\0"
"""Ends the name of a link, device or FIFO, so that no pattern matches it."""


def _entries(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield everything in a folder, the content of a folder before the folder itself."""
    for here, folders, files in os.walk(folder, topdown=False):
        for entry in (*files, *folders):
            path = Path(here, entry)
            mode = path.lstat().st_mode
            name = path.relative_to(folder).as_posix()
            yield path, name + ("" if stat.S_ISREG(mode) else "/" if stat.S_ISDIR(mode) else _NEITHER)


def _unlink(path: Path) -> None:
    try:
        path.unlink()
    except PermissionError:
        if not WINDOWS:  # there the open lock file stays; its owner removes it
            raise


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
