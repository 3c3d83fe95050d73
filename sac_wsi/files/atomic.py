"""Write files that appear under their name complete, or not at all; hash files."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from sac_wsi.errors import OutputError, RequestError, WriteError
from sac_wsi.system.disk import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write to; rename it to ``path`` if the block succeeds, remove it if it fails.

    The file is synced to disk before the rename, so that a power cut cannot publish an empty file. After a
    kill -9 the next attempt overwrites what the first one left.

    Raises:
        OutputError: The file cannot be created or renamed.
        WriteError: The disk is full or failing.
    """
    partial = partial_name(path)
    try:
        with _create(partial, path) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _publish(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise WriteError(
            f"Cannot write {path}: {error.strerror or error}. Free some space or repair the disk, then run "
            "the same command again: it continues where it stopped."
        ) from error
    except BaseException:  # also after Ctrl-C nothing is left
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def partial_name(path: Path) -> Path:
    """Return the name that ``path`` has while it is written.

    It is short because the final name may already use all 255 bytes that a name can have.
    """
    return path.with_name(f".sac-wsi-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.partial")


def _create(partial: Path, path: Path) -> BinaryIO:
    try:
        return partial.open("wb")
    except OSError as error:
        raise OutputError(
            f"Cannot write {path}: {error.strerror}. Give an output in an existing, writable folder."
        ) from error


def _publish(partial: Path, path: Path) -> None:
    try:
        partial.replace(path)
    except OSError as error:
        raise OutputError(
            f"Cannot rename the finished file to {path}: {error.strerror}. Give another name."
        ) from error


def make_folder(path: Path, instead: str = "Give another one.") -> None:
    """Make a folder and the folders above it, if they are missing.

    Args:
        path: The folder.
        instead: What the user should type if it cannot be made; the end of the message.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make the folder {path}: {error.strerror}. {instead}") from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RequestError(f"Cannot read {path}: {error.strerror}.") from error
