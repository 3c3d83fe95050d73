"""Locks between processes, on an open file. The operating system releases the lock of a process that died.

``filelock`` is not used because it deletes the lock file by its path at release: a finished run has removed
its folder by then, and the file of that name can be the lock of the next run.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from sac_wsi.system.disk import WINDOWS, open_no_link

try:
    import fcntl
except ImportError:
    import msvcrt  # Windows

    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = "lock"
"""Name of the lock file in a folder."""


class AlreadyLocked(Exception):
    """Another process, or another open file of this one, holds the lock."""


def lock_open_file(file: IO[Any]) -> None:
    """Lock an open file until it is closed; never wait for the lock.

    Raises:
        AlreadyLocked: Somebody else holds the lock.
    """
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):  # Windows gives the second
        raise AlreadyLocked(file.name) from None


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the lock file in ``folder`` while the block runs; the block may remove the folder.

    Raises:
        AlreadyLocked: Another process holds it.
        OSError: The lock file cannot be made.
    """
    path = folder / LOCK
    with os.fdopen(open_no_link(path), "r+b") as file:
        lock_open_file(file)
        if not _is_still(file, path):  # the run that held it has removed the folder before our lock
            raise AlreadyLocked(str(path))
        yield
    if WINDOWS and [path.name for path in folder.glob("*")] == [LOCK]:  # an open file is not removed there
        with suppress(OSError):
            path.unlink()
            folder.rmdir()


def _is_still(file: IO[Any], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False
