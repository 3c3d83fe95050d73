"""Keep what a run has finished so far in the folder ``X.zarr.partial``.

The result of a step is one file, written without a name and synced before it gets one: it is complete or
absent, and a run that is killed loses only the steps in progress. No modification time is used. The folder is
locked as long as its run lives; the operating system releases the lock of a process that died. Only files
that a run makes are ever removed from the folder.
"""

from __future__ import annotations

import contextlib
import json
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sac_wsi.errors import InputChanged, OutputError, StoreError
from sac_wsi.files.atomic import anything, atomic_file
from sac_wsi.files.columns import Arrays, read_columns, write_columns
from sac_wsi.files.ownership import MARK, first_foreign, is_marked, mark, remove_own
from sac_wsi.files.regular import read_regular
from sac_wsi.store.own_files import STORE_FILES, refuse_foreign
from sac_wsi.system.disk import sync_folder
from sac_wsi.system.locks import LOCK, AlreadyLocked, lock_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MANIFEST = "manifest.json"
_LARGEST_MANIFEST = 1 << 24
_PUBLISH, _REPLACED, _SLIDE_STATE = "publish.zarr", "replaced", "slide.json"
_RESULTS = r"\w+/|\w+/\d{7}\.columns|(?:\w+/)?\.sac-wsi-[0-9a-f]{16}\.partial"
_STORES = rf"(?:{_PUBLISH}|{_REPLACED})/(?:{STORE_FILES})?"
_OF_STORES = re.compile(_STORES)
_UNFINISHED = re.compile(rf"{_RESULTS}|{_STORES}|{re.escape(_SLIDE_STATE)}")
_OWN = re.compile(rf"{_UNFINISHED.pattern}|{re.escape(_MANIFEST)}|{MARK}|{LOCK}")


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
        with atomic_file(path, anything) as file:
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
        return self.folder / _PUBLISH

    def clear_publish_folder(self) -> None:
        """Remove what an interrupted attempt left there; raise OutputError if there is something else."""
        remove_own(self.folder, _OF_STORES)
        if self.publish_folder.exists():
            raise OutputError(
                f"{self.publish_folder} holds files that sac-wsi did not write. Move them away, then run the "
                "same command again."
            )

    def load_slide_state(self) -> Any:
        """Return what ``save_slide_state`` was given, parsed; None if nothing was saved."""
        try:
            return json.loads(read_regular(self.folder / _SLIDE_STATE, _LARGEST_MANIFEST))
        except (OSError, ValueError, RecursionError):
            return None

    def save_slide_state(self, state: str) -> None:
        """Keep the state of the slide's files, as JSON."""
        with atomic_file(self.folder / _SLIDE_STATE, anything) as file:
            file.write(state.encode())

    def remove_results(self) -> None:
        """Remove all results, to start over."""
        remove_own(self.folder, _UNFINISHED)

    def remove(self) -> None:
        """Remove the folder, or what a run made in it if it holds other files."""
        remove_own(self.folder, _OWN)

    def _file(self, step: str, index: int) -> Path:
        return self.folder / step / f"{index:07d}.columns"


@contextlib.contextmanager
def open_journal(folder: Path, manifest: Mapping[str, Any], *, start_over: bool = False) -> Iterator[Journal]:
    """Start a run in ``folder``, or continue the run that is there.

    Args:
        folder: The folder ``X.zarr.partial``.
        manifest: All that decides the result.
        start_over: Remove a run that has another manifest.

    Raises:
        InputChanged: The run that is there has another manifest.
        OutputError: The folder cannot be written, is not sac-wsi's, or another process works in it.
    """
    try:
        folder.mkdir()
        mark(folder)
    except FileExistsError:
        pass
    except OSError as error:
        raise OutputError(
            f"Cannot make {folder}: {error.strerror}. Give --out in an existing, writable folder."
        ) from error
    with _locked(folder):
        _same_run(folder, manifest, start_over=start_over)
        yield Journal(folder)


def discard(folder: Path) -> None:
    """Remove an unfinished run.

    Raises:
        OutputError: A process works on it, or sac-wsi did not make the folder.
    """
    if folder.exists():
        with _locked(folder):
            remove_own(folder, _OWN)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    _refuse_foreign(folder)
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


def _refuse_foreign(folder: Path) -> None:
    """Raise OutputError if sac-wsi did not make the folder: it has no mark, and files that no run makes."""
    if is_marked(folder) or _read_manifest(folder) is not None:
        return
    # the manifest is another program's then, and a lock file has no content
    others = [p.name for p in (folder / _MANIFEST, folder / LOCK) if p.is_file() and p.stat().st_size]
    if name := first_foreign(folder, _OWN) or "".join(others[:1]):
        raise OutputError(
            f"{folder} holds {name}, which sac-wsi did not write, and a run needs this folder. Move it away, "
            "or give another --out."
        )


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of the run in a folder; None if there is none, or a file of somebody else."""
    try:
        manifest = json.loads(read_regular(folder / _MANIFEST, _LARGEST_MANIFEST))
    except (OSError, ValueError, RecursionError):
        return None
    needed = {"version", "slide", "model", "config"}
    return manifest if isinstance(manifest, dict) and needed <= manifest.keys() else None


def _same_run(folder: Path, manifest: Mapping[str, Any], *, start_over: bool) -> None:
    path = folder / _MANIFEST
    # through JSON, so that tuples become lists as in the file
    wanted = json.loads(json.dumps(manifest))
    found = _read_manifest(folder)
    changes = differences(found, wanted) if found else []
    if not found or (changes and start_over):
        # without a manifest, an interrupted removal left these results; their settings are unknown
        remove_own(folder, _UNFINISHED)
        with atomic_file(path, lambda _: found is not None) as file:
            file.write(json.dumps(wanted, indent=1, sort_keys=True).encode())
        return
    if changes:
        raise InputChanged(
            f"{folder} holds an unfinished run with other settings: {'; '.join(changes)}. Run with "
            "the earlier settings to finish it, or pass --overwrite to start over."
        )


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


def publish(journal: Journal, store: Path, *, overwrite: bool = False) -> None:
    """Rename the finished store to its final name, then remove the journal and the store it replaces.

    Raises:
        OutputError: Another store is there and must not be replaced.
    """
    if store.exists() or store.is_symlink():
        if not overwrite:
            raise OutputError(
                f"{store} was made by another run while this one worked. Run the same command again with "
                "--overwrite to replace it, or with another --out: nothing is computed again."
            )
        refuse_foreign(store)
        store.replace(journal.folder / _REPLACED)
    journal.publish_folder.replace(store)
    sync_folder(store.parent)
    journal.remove()
