"""Write files that appear under their name complete, or not at all; hash files."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from sac_wsi.errors import OutputError, RequestError, WriteError
from sac_wsi.system.disk import NewFile, sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def nothing(_: Path) -> bool:
    """Replace no file."""
    return False


def anything(_: Path) -> bool:
    """Replace any file: for names inside a folder that sac-wsi made."""
    return True


@contextmanager
def atomic_file(path: Path, may_replace: Callable[[Path], bool] = nothing) -> Iterator[BinaryIO]:
    """Yield a file to write to; it appears as ``path`` if the block succeeds, else not at all.

    It is synced to disk before it gets its name, so that a power cut cannot publish an empty file.

    Args:
        path: Its name.
        may_replace: Asked if a file of that name is there at the end.

    Raises:
        OutputError: The file cannot be created, or another one of that name must not be replaced.
        WriteError: The disk is full or failing.
    """
    try:
        new = NewFile(path.parent)
    except OSError as error:
        raise OutputError(
            f"Cannot write {path}: {error.strerror}. Give an output in an existing, writable folder."
        ) from error
    try:
        yield new.file
        new.file.flush()
        os.fsync(new.file.fileno())
        _publish(new, path, may_replace)
    except OSError as error:
        raise WriteError(
            f"Cannot write {path}: {error.strerror or error}. Free some space or repair the disk, then run "
            "the same command again: it continues where it stopped."
        ) from error
    finally:
        new.close()
    sync_folder(path.parent)


def refuse_existing(
    path: Path, is_own: Callable[[Path], bool], *, overwrite: bool, option: str = "--out"
) -> None:
    """Raise OutputError if there is something at ``path`` that must not be replaced.

    Args:
        path: An output.
        is_own: Tells whether sac-wsi wrote a file; no other file is replaced.
        overwrite: The user asked to replace it.
        option: With which the output was given.
    """
    if not os.path.lexists(path):
        return
    if path.is_symlink():
        raise OutputError(f"{path} is a link; outputs are not written through links. Give its target.")
    if not path.is_file():
        raise OutputError(f"{path} exists and is not a file. Give another {option}.")
    if not is_own(path):
        raise OutputError(
            f"{path} exists and was not written by sac-wsi: it is not replaced. Move it away, or give "
            f"another {option}."
        )
    if not overwrite:
        raise OutputError(f"{path} exists. Pass --overwrite to replace it, or give another {option}.")


def _publish(new: NewFile, path: Path, may_replace: Callable[[Path], bool]) -> None:
    try:
        new.name_as(path)
    except FileExistsError:
        if path.is_symlink() or not path.is_file():
            raise OutputError(f"{path} is there and is not a file. Give another name.") from None
        if not may_replace(path):
            raise OutputError(
                f"{path} exists, and it is not replaced. Give another name, or move it away."
            ) from None
        new.replace(path)


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
