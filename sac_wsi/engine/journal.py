"""What a run has finished so far: the folder ``X.zarr.partial``.

A step's result is one file, written beside, synced and renamed: the file is there or it is not, and a
kill -9 at any moment costs the steps in flight. Nothing here looks at a modification time. The folder
is locked by the kernel for as long as its owner lives, so a dead owner's claim needs no clean-up.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sac_wsi.errors import InputChanged, OutputError, StoreError
from sac_wsi.files.atomic import atomic_file, sync_folder
from sac_wsi.files.columns import Arrays, read_columns, write_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Journal:
    """The results on disk of one unfinished run. Picklable: workers write to it themselves."""

    folder: Path

    def has(self, step: str, index: int) -> bool:
        return self._file(step, index).exists()

    def missing(self, step: str, indices: Sequence[int]) -> list[int]:
        return [i for i in indices if not self.has(step, i)]

    def save(self, step: str, index: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        path = self._file(step, index)
        path.parent.mkdir(exist_ok=True)
        with atomic_file(path) as file:
            write_columns(file, arrays)

    def load(self, step: str, index: int, names: Sequence[str] | None = None) -> Arrays:
        """The arrays of one step, or only the named ones (the others are not read from disk)."""
        path = self._file(step, index)
        try:
            return read_columns(path, names)
        except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
            raise StoreError(
                f"{path} is damaged ({type(error).__name__}). Delete that file and run the same command "
                "again: only its block is redone."
            ) from error

    @property
    def publish_folder(self) -> Path:
        """Where the final store is built, under this folder so that one rename publishes it."""
        return self.folder / "publish.zarr"

    def _file(self, step: str, index: int) -> Path:
        return self.folder / step / f"{index:07d}.columns"


@contextlib.contextmanager
def open_journal(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Journal]:
    """Begin a run in ``folder`` or go on with the one that is there, if it is the same run."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"Cannot make {folder}: {error.strerror}. Give --out in an existing, writable folder."
        ) from error
    with _locked(folder):
        _same_run(folder, manifest)
        yield Journal(folder)


def discard(folder: Path) -> None:
    """Remove an unfinished run, unless somebody is at work on it."""
    if folder.exists():
        with _locked(folder):
            shutil.rmtree(folder)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = _open_lock(folder)
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"{folder} belongs to a run that is still going. Wait for it, or give another --out."
            ) from None
        yield


def _open_lock(folder: Path) -> IO[str]:
    try:
        return (folder / "lock").open("a")
    except OSError as error:
        raise OutputError(
            f"Cannot write in {folder}: {error.strerror}. Give --out in a writable folder."
        ) from error


def _same_run(folder: Path, manifest: Mapping[str, Any]) -> None:
    path = folder / _MANIFEST
    # through JSON, so that tuples and lists compare as the file has them
    wanted = json.loads(json.dumps(manifest))
    if not path.exists():
        _clear(folder)
        with atomic_file(path) as file:
            file.write(json.dumps(wanted, indent=1, sort_keys=True).encode())
        return
    changes = differences(json.loads(path.read_text()), wanted)
    if changes:
        raise InputChanged(
            f"{folder} holds an unfinished run with other settings: {'; '.join(changes)}. Run with the "
            "settings it was begun with to finish it, or pass --overwrite to begin anew."
        )


def _clear(folder: Path) -> None:
    """Steps without a manifest are what a removal that was killed left: nobody knows their settings."""
    for left in folder.iterdir():
        if left.is_dir():
            shutil.rmtree(left)


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted names with both values, for every setting in which two nested mappings differ.

    >>> differences({"grid": {"tile_px": 512}}, {"grid": {"tile_px": 1024}})
    ['grid.tile_px was 512, now 1024']
    """
    changes = []
    for key in sorted({*found, *wanted}):
        name, old, new = f"{prefix}{key}", found.get(key), wanted.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changes += differences(old, new, f"{name}.")
        elif old != new:
            changes.append(f"{name} was {old}, now {new}")
    return changes


def publish(journal: Journal, store: Path) -> None:
    """The one moment in which the run becomes a result; a store it replaces goes with the journal."""
    if store.exists():
        store.replace(journal.folder / "replaced")
    journal.publish_folder.replace(store)
    sync_folder(store.parent)
    shutil.rmtree(journal.folder)
