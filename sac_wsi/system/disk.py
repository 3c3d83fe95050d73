"""What not every system does with files: files without a name, links refused, a folder synced."""

from __future__ import annotations

import contextlib
import errno
import getpass
import os
import secrets
import stat
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, BinaryIO

WINDOWS = os.name == "nt"


def open_closed_streams() -> None:
    """Open the null device in the place of standard input, output or error where the caller closed it.

    Otherwise the next file that is opened would get its number, and what a library prints would be written
    into that file.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - open until the end


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


_CAREFUL = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
"""Follow no link; do not wait for the other end of a FIFO. Where the system lacks one, it is left out."""


def _flags(*names: str) -> int:
    flags = 0
    for name in names:
        flags |= getattr(os, name, 0)
    return flags


def open_no_link(path: Path) -> int:
    """Open a file to read and write, make it if it is missing, and return its descriptor.

    A link (where the system can refuse one, not on Windows), a FIFO or a device raises OSError.
    """
    return _regular(os.open(path, os.O_RDWR | os.O_CREAT | _flags(*_CAREFUL), 0o666), path)


def open_to_read(path: Path, *, follow_links: bool = False) -> int:
    """Open a file to read and return its descriptor; a link, a FIFO or a device raises OSError."""
    flags = _flags(*_CAREFUL)
    if follow_links:
        flags &= ~_flags("O_NOFOLLOW")
    return _regular(os.open(path, os.O_RDONLY | flags), path)


def _regular(handle: int, path: Path) -> int:
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return handle


class NewFile:
    """A file that is written before it has its name.

    Where the system can, it has no name at all until then, so a killed process leaves nothing behind.
    Elsewhere (macOS, Windows, some network disks) it has a random name that no other file has.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name: Path | None = None
        handle = _open_nameless(folder)
        if handle is None:
            self._name = _random_name(folder)
            handle = os.open(self._name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _flags(*_CAREFUL), 0o666)
        opened = handle
        # through an opener: the file gets a text as its name, which tifffile needs
        self.file: BinaryIO = open(self._name or folder, "wb", opener=lambda *_: opened)  # noqa: SIM115

    def name_as(self, path: Path) -> None:
        """Give it its name; FileExistsError if there is something of that name."""
        if self._name is None:
            self._link(path)
            return
        try:
            os.link(self._name, path)
        except (OSError, AttributeError) as error:
            if isinstance(error, FileExistsError) or os.path.lexists(path):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
            self._rename(path)  # a disk without hard links
        else:
            self._name.unlink()
            self._name = None

    def replace(self, path: Path) -> None:
        """Give it the name of another file, which is gone at the same moment."""
        if self._name is None:
            self._name = _random_name(self._folder)
            self._link(self._name)
        self._rename(path)

    def _link(self, path: Path) -> None:
        handle = self.file.fileno()
        # the descriptor of a folder makes Python call linkat, which follows the link in /proc; it is not used
        os.link(f"/proc/self/fd/{handle}", path, src_dir_fd=handle, follow_symlinks=True)

    def _rename(self, path: Path) -> None:
        assert self._name is not None
        rename_open_file(self.file, self._name, path)
        self._name = None

    def close(self) -> None:
        """Close it; if it has not got its name, it is gone."""
        with contextlib.suppress(OSError):  # on a full disk, closing tries to write once more
            self.file.close()
        if self._name is not None:
            self._name.unlink(missing_ok=True)
            self._name = None


def _random_name(folder: Path) -> Path:
    return folder / f".sac-wsi-{secrets.token_hex(8)}.partial"


def _open_nameless(folder: Path) -> int | None:
    """Open a new file without a name; None where the system or the disk cannot."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None or not Path("/proc/self/fd").is_dir():
        return None
    try:
        return os.open(folder, flag | os.O_RDWR, 0o666)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            return None
        raise


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
