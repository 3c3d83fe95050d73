"""The part of a file that has come so far. It outlives an interruption; one process at a time adds to it."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sac_wsi.errors import OutputError, WriteError
from sac_wsi.files.atomic import partial_name, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Version:
    """What tells one version of a served file from another; None where the server does not say."""

    etag: str | None = None
    last_modified: str | None = None
    total: int | None = None

    def may_be(self, other: Version) -> bool:
        """Whether nothing that both of them know differs."""
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return all(a == b or a is None or b is None for a, b in pairs)


class PartialFile:
    """What will be ``target``. A note beside it tells which version the bytes are of."""

    def __init__(self, file: io.FileIO, target: Path) -> None:
        self._file, self.target = file, target
        self._path = partial_name(target)
        self._note = _note_name(self._path)
        self.version = _read_note(self._note)
        self.size = file.seek(0, io.SEEK_END)
        if self.version is None and self.size:  # bytes of nobody knows what
            self.restart(Version())

    def restart(self, version: Version) -> None:
        """Drop every byte; those that follow are of ``version``."""
        with _told(self.target):
            self._file.truncate(0)  # first: old bytes must never stand beside a new note
            self.size = self._file.seek(0)
            self._note.write_text(json.dumps(asdict(version)))
        self.version = version

    def append(self, data: bytes) -> None:
        left = memoryview(data)
        with _told(self.target):
            while left:
                written = self._file.write(left)  # unbuffered: what is counted is in the file
                self.size += written
                left = left[written:]

    def sha256(self) -> str:
        """Of the whole, as it is on disk."""
        with _told(self.target):
            os.fsync(self._file.fileno())
            self._file.seek(0)
            return hashlib.file_digest(self._file, "sha256").hexdigest()

    def publish(self) -> None:
        try:
            self._path.replace(self.target)
        except OSError as error:
            raise OutputError(
                f"Cannot put the finished file in place as {self.target}: {error.strerror}. Give another "
                "folder."
            ) from error
        self._note.unlink(missing_ok=True)
        sync_folder(self.target.parent)

    def remove(self) -> None:
        self._note.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)
        self.size = 0


@contextmanager
def open_partial(target: Path) -> Iterator[PartialFile]:
    """The partial file of ``target``, ours alone until the block ends; an empty one is not left behind."""
    path = partial_name(target)
    with _open(path, target) as file:
        _lock(file, path, target)
        partial = PartialFile(file, target)
        try:
            yield partial
        finally:
            if not os.fstat(file.fileno()).st_size:
                partial.remove()


def _open(path: Path, target: Path) -> io.FileIO:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise OutputError(
            f"Cannot write {target}: {error.strerror}. Give an existing, writable folder."
        ) from error
    return io.FileIO(handle, "r+")


def _lock(file: io.FileIO, path: Path, target: Path) -> None:
    """Two processes that append in turn would make a file that is neither's."""
    busy = OutputError(f"{target} is being fetched by another process. Wait for it, or give another folder.")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise busy from None
    # the other may have given the file its name, or removed it, between our opening and our lock
    if not (path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())):
        raise busy


def _note_name(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _read_note(path: Path) -> Version | None:
    """None where there is no note, or one that was cut short."""
    try:
        return Version(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def _told(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(
            f"Cannot write {target}: {error.strerror or error}. Make room or mend the disk, then run the "
            "same command again: it goes on where it stopped."
        ) from error
