"""Keep the bytes of an unfinished download over an interruption; one process at a time adds to them."""

from __future__ import annotations

import hashlib
import io
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sac_wsi.errors import OutputError, WriteError
from sac_wsi.system.disk import open_no_link, remove_open_file, rename_open_file, sync_folder
from sac_wsi.system.locks import AlreadyLocked, lock_open_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def partial_name(target: Path) -> Path:
    """Return the name that ``target`` has while it is downloaded; an interrupted download is found by it.

    It is short because the final name may already use all 255 bytes that a name can have.
    """
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()
    return target.with_name(f".sac-wsi-{digest[:16]}.partial")


@dataclass(frozen=True)
class Version:
    """What distinguishes the versions of a file on a server; None where the server does not say."""

    etag: str | None = None
    last_modified: str | None = None
    total: int | None = None

    def compatible_with(self, other: Version) -> bool:
        """Return whether every value that both of them know is the same."""
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return all(a == b or a is None or b is None for a, b in pairs)


class PartialFile:
    """The unfinished ``target``. A JSON file beside it records of which version its bytes are."""

    def __init__(self, file: io.FileIO, target: Path) -> None:
        self._file, self.target = file, target
        self._path = partial_name(target)
        self._version_path = self._path.with_name(self._path.name + ".json")
        self.version = _read_version(self._version_path)
        self.size = file.seek(0, io.SEEK_END)
        if self.version is None and self.size:  # bytes of an unknown version
            self.restart(Version())

    def restart(self, version: Version) -> None:
        """Delete all bytes; the bytes to come are of ``version``."""
        with _write_errors(self.target):
            self._file.truncate(0)  # first, so that old bytes never lie beside a new version
            self.size = self._file.seek(0)
            self._version_path.write_text(json.dumps(asdict(version)))
        self.version = version

    def append(self, data: bytes) -> None:
        """Write bytes to the end; ``size`` counts exactly those that are in the file."""
        left = memoryview(data)
        with _write_errors(self.target):
            while left:
                written = self._file.write(left)  # unbuffered
                self.size += written
                left = left[written:]

    def sha256(self) -> str:
        """Return the SHA-256 of the whole file, after it was synced to disk."""
        with _write_errors(self.target):
            os.fsync(self._file.fileno())
            self._file.seek(0)
            return hashlib.file_digest(self._file, "sha256").hexdigest()

    def publish(self) -> None:
        """Give the file its final name."""
        try:
            rename_open_file(self._file, self._path, self.target)
        except OSError as error:
            raise OutputError(
                f"Cannot rename the finished file to {self.target}: {error.strerror}. Give another folder."
            ) from error
        self._version_path.unlink(missing_ok=True)
        sync_folder(self.target.parent)

    def remove(self) -> None:
        """Remove the file and its version."""
        self._version_path.unlink(missing_ok=True)
        remove_open_file(self._file, self._path)
        self.size = 0

    def remove_if_empty(self) -> None:
        """Remove the file if it has no byte; do nothing once it was published or removed."""
        if not self._file.closed and not os.fstat(self._file.fileno()).st_size:
            self.remove()


@contextmanager
def open_partial(target: Path) -> Iterator[PartialFile]:
    """Yield the partial file of ``target``, locked for this process until the block ends.

    An empty one is removed at the end.
    """
    path = partial_name(target)
    with _open(path, target) as file:
        _lock(file, path, target)
        partial = PartialFile(file, target)
        try:
            yield partial
        finally:
            partial.remove_if_empty()


def _open(path: Path, target: Path) -> io.FileIO:
    try:
        handle = open_no_link(path)
    except OSError as error:
        raise OutputError(
            f"Cannot write {target}: {error.strerror}. Give an existing, writable folder."
        ) from error
    return io.FileIO(handle, "r+")


def _lock(file: io.FileIO, path: Path, target: Path) -> None:
    """Lock the file: two processes that append in turn would mix their bytes."""
    busy = OutputError(f"Another process is downloading {target}. Wait for it, or give another folder.")
    try:
        lock_open_file(file)
    except AlreadyLocked:
        raise busy from None
    # the other process may have renamed or removed the file between our opening and our lock
    if not (path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())):
        raise busy


def _read_version(path: Path) -> Version | None:
    """Return None where there is no file, or one that is incomplete."""
    try:
        return Version(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def _write_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(
            f"Cannot write {target}: {error.strerror or error}. Free some space or repair the disk, then run "
            "the same command again: it continues where it stopped."
        ) from error
