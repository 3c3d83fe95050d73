"""The files of a folder or of a zip, by name. Nothing is ever unpacked to disk."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sac_wsi.errors import DataError

MAX_MEMBER_BYTES = 2**28
"""What one member may become once unpacked."""
MAX_ZIP_BYTES = 2**30


@dataclass(frozen=True)
class Members:
    """``names`` have slashes, are sorted and lie within; ``read`` may be called from several threads."""

    source: Path
    names: tuple[str, ...]
    read: Callable[[str], bytes]


def open_members(source: Path) -> Members:
    if source.is_dir():
        return _of_folder(source)
    if not source.exists():
        raise DataError(f"There is no {source}. Give a folder or a .zip that exists.")
    return of_zip(source)


def of_zip(source: Path) -> Members:
    """The members of a zip; names that lead out of it are refused, sizes are checked before unpacking."""
    try:
        if source.stat().st_size > MAX_ZIP_BYTES:
            raise DataError(
                f"{source} is larger than {MAX_ZIP_BYTES:,} bytes: unpack it, and give the folder."
            )
        # in memory: threads and forked workers share no place in a file, and 27,000 names are listed once
        archive = zipfile.ZipFile(io.BytesIO(source.read_bytes()))
    except (zipfile.BadZipFile, OSError, ValueError):
        raise DataError(f"{source} is no zip, or a damaged one: copy it again.") from None
    entries = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    for name in entries:
        if leads_out(name):
            raise DataError(f"{source} holds the name {name!r}, which leads out of it. Do not use this file.")

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

    return Members(source, tuple(sorted(entries)), read)


def leads_out(name: str) -> bool:
    r"""Whether a name of an archive points out of the folder that it would be unpacked to.

    >>> [leads_out(name) for name in ("a/b.png", "../b.png", "/etc/b", "a\\..\\b", "C:/b")]
    [False, True, True, True, True]
    """
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or ":" in name


def _of_folder(source: Path) -> Members:
    names = tuple(sorted(path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()))

    def read(name: str) -> bytes:
        try:
            return (source / name).read_bytes()
        except OSError as error:
            raise DataError(f"Cannot read {source / name}: {error.strerror}.") from None

    return Members(source, names, read)
