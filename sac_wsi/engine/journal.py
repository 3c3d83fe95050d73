"""Keep what a run has finished so far in the folder ``X.zarr.partial``.

The result of a step is one file, written under another name, synced and renamed: it is complete or absent,
and a run that is killed loses only the steps in progress. No modification time is used. The folder is locked
as long as its run lives; the operating system releases the lock of a process that died.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sac_wsi.errors import InputChanged, OutputError, StoreError
from sac_wsi.files.atomic import atomic_file
from sac_wsi.files.columns import Arrays, read_columns, write_columns
from sac_wsi.system.disk import sync_folder
from sac_wsi.system.locks import AlreadyLocked, lock_folder, remove_locked_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Journal:
    """The results on disk of one unfinished run. It can be pickled: workers write to it themselves."""

    folder: Path

    def has(self, step: str, index: int) -> bool:
        """Return whether this result is there."""
        return self._file(step, index).exists()

    def missing(self, step: str, indices: Sequence[int]) -> list[int]:
        """Return the indices whose results are not there."""
        return [i for i in indices if not self.has(step, i)]

    def save(self, step: str, index: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write the result of one step as named arrays."""
        path = self._file(step, index)
        path.parent.mkdir(exist_ok=True)
        with atomic_file(path) as file:
            write_columns(file, arrays)

    def load(self, step: str, index: int, names: Sequence[str] | None = None) -> Arrays:
        """Return the arrays of one result, or only the named ones; the others are not read from disk."""
        path = self._file(step, index)
        try:
            return read_columns(path, names)
        except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
            raise StoreError(
                f"{path} is damaged ({type(error).__name__}). Delete that file and run the same command "
                "again: only its block is computed again."
            ) from error

    @property
    def publish_folder(self) -> Path:
        """Where the store is built: inside this folder, so that one rename publishes it."""
        return self.folder / "publish.zarr"

    def _file(self, step: str, index: int) -> Path:
        return self.folder / step / f"{index:07d}.columns"


@contextlib.contextmanager
def open_journal(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Journal]:
    """Start a run in ``folder``, or continue the run that is there.

    Raises:
        InputChanged: The run that is there has another manifest.
        OutputError: The folder cannot be written, or another process works in it.
    """
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
    """Remove an unfinished run; raise OutputError if a process works on it."""
    if folder.exists():
        with _locked(folder):
            remove_locked_folder(folder)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock_folder(folder))
        except AlreadyLocked:
            raise OutputError(
                f"{folder} is used by a run that is still running. Wait until it ends, or give another --out."
            ) from None
        except OSError as error:
            raise OutputError(
                f"Cannot write in {folder}: {error.strerror}. Give --out in a writable folder."
            ) from error
        yield


def _same_run(folder: Path, manifest: Mapping[str, Any]) -> None:
    path = folder / _MANIFEST
    # through JSON, so that tuples become lists as in the file
    wanted = json.loads(json.dumps(manifest))
    if not path.exists():
        _clear(folder)
        with atomic_file(path) as file:
            file.write(json.dumps(wanted, indent=1, sort_keys=True).encode())
        return
    changes = differences(json.loads(path.read_text()), wanted)
    if changes:
        raise InputChanged(
            f"{folder} holds an unfinished run with other settings: {'; '.join(changes)}. Run with "
            "the earlier settings to finish it, or pass --overwrite to start over."
        )


def _clear(folder: Path) -> None:
    """Remove results without a manifest: an interrupted removal left them; their settings are unknown."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return a text for every setting in which two nested mappings differ: dotted name and both values.

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
    """Rename the finished store to its final name, then remove the journal and the store it replaces."""
    if store.exists():
        store.replace(journal.folder / "replaced")
    journal.publish_folder.replace(store)
    sync_folder(store.parent)
    remove_locked_folder(journal.folder)
