"""What not every system does with files: sync a folder, rename an open file, name a folder after a user."""

from __future__ import annotations

import getpass
import os
import tempfile
from pathlib import Path
from typing import IO, Any

WINDOWS = os.name == "nt"


def sync_folder(folder: Path) -> None:
    """Write a rename in ``folder`` to disk: without it a power cut may bring the old file back.

    Windows cannot open a folder; there nothing is done.
    """
    if WINDOWS:
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_no_link(path: Path) -> int:
    """Open a file to read and write, make it if it is missing, and return its descriptor.

    A symbolic link raises OSError where the system can refuse one (not on Windows).
    """
    optional = ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY")
    flags = os.O_RDWR | os.O_CREAT
    for name in optional:
        flags |= getattr(os, name, 0)
    return os.open(path, flags, 0o666)


def rename_open_file(file: IO[Any], path: Path, target: Path) -> None:
    """Rename ``path``, which is open as ``file``, to ``target``; Windows needs the file closed before."""
    if WINDOWS:
        file.close()
    path.replace(target)


def remove_open_file(file: IO[Any], path: Path) -> None:
    """Remove ``path``, which is open as ``file``, if it exists; Windows needs the file closed before."""
    if WINDOWS:
        file.close()
    path.unlink(missing_ok=True)


def user_temporary_folder(name: str) -> Path:
    """Return the path of a temporary folder of this user: two users of one machine never share it."""
    user = str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()
    return Path(tempfile.gettempdir()) / f"{name}-{user}"
