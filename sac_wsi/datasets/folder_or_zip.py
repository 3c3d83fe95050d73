"""Read the files of a folder or a zip by name. Nothing is unpacked to disk."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sac_wsi.errors import DataError

MAX_MEMBER_BYTES = 2**28
"""Largest allowed size of one file after unpacking."""
MAX_ZIP_BYTES = 2**30


@dataclass(frozen=True)
class FolderOrZip:
    """The files of a folder or a zip.

    names   sorted relative paths with forward slashes
    read    returns the content of a file; several threads can call it
    """

    source: Path
    names: tuple[str, ...]
    read: Callable[[str], bytes]


def open_folder_or_zip(source: Path) -> FolderOrZip:
    """Open a folder or a zip, whichever ``source`` is."""
    if source.is_dir():
        return _of_folder(source)
    if not source.exists():
        raise DataError(f"There is no {source}. Give a folder or a .zip that exists.")
    return open_zip(source)


def open_zip(source: Path) -> FolderOrZip:
    """Open a zip. Names that point outside it are an error; sizes are checked before unpacking."""
    try:
        if source.stat().st_size > MAX_ZIP_BYTES:
            raise DataError(
                f"{source} is larger than {MAX_ZIP_BYTES:,} bytes: unpack it, and give the folder."
            )
        # in memory, so that threads and forked workers share no file position and the names are listed once
        archive = zipfile.ZipFile(io.BytesIO(source.read_bytes()))
    except (zipfile.BadZipFile, OSError, ValueError):
        raise DataError(f"{source} is not a zip or is damaged: copy it again.") from None
    entries = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    for name in entries:
        if leads_out(name):
            raise DataError(
                f"{source} holds the name {name!r}, which points outside it. Do not use this file."
            )

    def read(name: str) -> bytes:
        info = entries[name]
        if info.file_size > MAX_MEMBER_BYTES:
            raise DataError(
                f"{name} in {source} has {info.file_size:,} bytes; at most {MAX_MEMBER_BYTES:,} are read."
            )
        try:
            return archive.read(info)
        except (zipfile.BadZipFile, zlib.error, OSError, NotImplementedError, RuntimeError, EOFError):
            raise DataError(f"{name} in {source} is damaged or encrypted: copy the file again.") from None

    return FolderOrZip(source, tuple(sorted(entries)), read)


def leads_out(name: str) -> bool:
    r"""Return whether a name in an archive points outside the folder that it would be unpacked to.

    >>> [leads_out(name) for name in ("a/b.png", "../b.png", "/etc/b", "a\\..\\b", "C:/b")]
    [False, True, True, True, True]
    """
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or ":" in name


def _of_folder(source: Path) -> FolderOrZip:
    names = tuple(sorted(path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()))

    def read(name: str) -> bytes:
        try:
            return (source / name).read_bytes()
        except OSError as error:
            raise DataError(f"Cannot read {source / name}: {error.strerror}.") from None

    return FolderOrZip(source, names, read)
