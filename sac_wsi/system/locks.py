"""Locks between processes, on an open file. The operating system releases the lock of a process that died.

``filelock`` is not used because it deletes the lock file by its path at release: a finished run has removed
its folder by then, and the file of that name can be the lock of the next run.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from sac_wsi.system.disk import WINDOWS

try:
    import fcntl
except ImportError:
    import msvcrt  # Windows

    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCK = "lock"


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
    with (folder / _LOCK).open("a") as file:
        lock_open_file(file)
        yield
    if WINDOWS and [path.name for path in folder.glob("*")] == [_LOCK]:  # left by remove_locked_folder
        with suppress(OSError):
            shutil.rmtree(folder)


def remove_locked_folder(folder: Path) -> None:
    """Remove a folder whose lock this process holds.

    Windows does not remove the open lock file; there ``lock_folder`` removes it when the block ends.
    """
    shutil.rmtree(folder, ignore_errors=WINDOWS)
