"""A file appears under its name complete, or not at all."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from sac_wsi.errors import OutputError, WriteError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, renamed to ``path`` when the block ends well and removed when it does not.

    It is on disk (fsync) before it has its name, so that a power cut cannot publish an empty file.
    After a kill -9 the next attempt writes over what the first one left.
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
            f"Cannot write {path}: {error.strerror or error}. Make room or mend the disk, then run the same "
            "command again: it goes on where it stopped."
        ) from error
    except BaseException:  # an interrupt, too, must leave nothing behind
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def partial_name(path: Path) -> Path:
    """Where ``path`` is written: a short name, as the final one may use all the 255 bytes it can have."""
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
            f"Cannot put the finished file in place as {path}: {error.strerror}. Give another name."
        ) from error


def make_folder(path: Path, instead: str = "Give another one.") -> None:
    """With the folders above it, where they are not there. ``instead``: what to type if it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make the folder {path}: {error.strerror}. {instead}") from error


def sync_folder(folder: Path) -> None:
    """Make a rename itself last; without it a power cut may bring the old file back."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
