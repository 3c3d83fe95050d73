"""Decide where the outputs go: name the store after the first output, and judge outputs that exist."""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sac_wsi.errors import OutputError, SacWsiError, StoreError
from sac_wsi.export.formats import export_form
from sac_wsi.export.header import read_header
from sac_wsi.files.atomic import make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

STORE = ".zarr"
PARTIAL = ".partial"
_ENDINGS = (".geojson.gz", ".json.gz")


@dataclass(frozen=True)
class Outputs:
    """The store, and the files to write from it."""

    store: Path
    files: tuple[Path, ...]

    @property
    def partial(self) -> Path:
        """Folder of the unfinished store."""
        return self.store.with_name(self.store.name + PARTIAL)


def plan_outputs(outs: Sequence[Path]) -> Outputs:
    """Return the outputs for the paths that the user gave; raise OutputError for an unknown extension.

    >>> plan_outputs([Path("a/A12.geojson.gz"), Path("a/A12.png")]).store.as_posix()
    'a/A12.zarr'
    """
    if not outs:
        raise OutputError("No output given. Pass --out nuclei.geojson (or .geojson.gz, .zip, .tif, .png).")
    files = tuple(dict.fromkeys(out for out in outs if out.suffix != STORE))
    for out in files:
        export_form(out)
    stores = {out for out in outs if out.suffix == STORE}
    if len(stores) > 1:
        raise OutputError(f"Two stores given: {', '.join(map(str, sorted(stores)))}. Give one.")
    return Outputs(stores.pop() if stores else store_beside(outs[0]), files)


def store_beside(out: Path) -> Path:
    """Return the path of the store beside an output."""
    for ending in _ENDINGS:
        if out.name.endswith(ending):
            return out.with_name(out.name.removesuffix(ending) + STORE)
    return out.with_suffix(STORE)


def check_writable(outputs: Outputs) -> None:
    """Raise OutputError if an output cannot be written: better now than after hours of work."""
    for folder in {_nearest_folder(path.parent) for path in (outputs.store, *outputs.files)}:
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise OutputError(
                f"Cannot write in {folder}: {error.strerror}. Give --out in a writable folder."
            ) from error
    for path in (outputs.store, outputs.partial):
        _refuse_unless(stat.S_ISDIR, path, "a folder")
    for path in outputs.files:
        _refuse_unless(stat.S_ISREG, path, "a file")


def _nearest_folder(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists; the missing ones are made later."""
    for path in (folder, *folder.absolute().parents):
        if path.is_dir():
            return path
        if os.path.lexists(path):
            raise OutputError(f"{path} is not a folder. Give another --out.")
    return folder


def make_folders(outputs: Outputs) -> None:
    """Make the folders of the outputs that are missing."""
    for path in (outputs.store, *outputs.files):
        make_folder(path.parent, "Give another --out.")


def refuse_inputs(written: Iterable[Path], read: Iterable[Path]) -> None:
    """Raise OutputError if an output is an input, or lies in one: not even --overwrite replaces it.

    Args:
        written: Outputs; the store and its unfinished folder too.
        read: All that the command reads: the slide and its other files, regions, points, settings, weights.
    """
    inputs = [path for path in read if path.exists()]
    for out in written:
        for path in inputs:
            if out.exists() and out.samefile(path):
                raise OutputError(f"{out} is an input of this command: {path}. Give another --out.")
            if path.is_dir() and out.absolute().is_relative_to(path.resolve()):
                raise OutputError(f"{out} lies in the input {path}. Give an --out elsewhere.")


def _refuse_unless(is_kind: Callable[[int], bool], path: Path, kind: str) -> None:
    """Raise OutputError if the path exists and is a link or not of this kind; nothing is opened."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"Cannot write {path}: {error.strerror}. Give another --out.") from error
    if stat.S_ISLNK(mode):
        raise OutputError(f"{path} is a link; outputs are not written through links. Give its target.")
    if not is_kind(mode):
        raise OutputError(f"{path} exists and is not {kind}. Give another --out.")


def files_to_write(outputs: Outputs, run_id: str, *, overwrite: bool) -> list[Path]:
    """Return the files still to be written.

    Raises:
        OutputError: One of them was written by another run, or not by sac-wsi, which is never replaced.
    """
    missing = []
    for path in outputs.files:
        found = run_of(path) if os.path.lexists(path) else ""
        if found is None:
            raise OutputError(
                f"{path} exists and was not written by sac-wsi: it is not replaced. Move it away, or give "
                "another --out."
            )
        if found not in ("", run_id) and not overwrite:
            raise OutputError(
                f"{path} exists and was made from another slide or with other settings. Pass --overwrite to "
                "replace it, or give another --out."
            )
        if overwrite or not found:
            missing.append(path)
    return missing


def is_export(path: Path) -> bool:
    """Return whether a file is an export that sac-wsi wrote; only such a file is ever replaced."""
    return run_of(path) is not None


def run_of(path: Path) -> str | None:
    """Return the id of the run of which a file is an export; None for a file of another program."""
    try:
        header = read_header(path)
    except (SacWsiError, OSError):
        return None
    return str(header["run_id"]) if header and "run_id" in header else None


def find_store(run: Path) -> Path:
    """Return the store: ``run`` itself, or the store from which the output ``run`` was written."""
    if run.suffix == STORE:
        store = run
    else:
        if not run.is_file():
            raise OutputError(f"There is no {run}. Give a store (X.zarr) or an output that a run wrote.")
        header = read_header(run)
        if not header or "store" not in header:
            raise StoreError(
                f"{run} does not name its store: it was not written by sac-wsi. Give the store itself."
            )
        store = Path(os.path.normpath(run.parent / str(header["store"])))
    if store.is_dir():
        return store
    partial = store.with_name(store.name + PARTIAL)
    if partial.is_dir():
        raise StoreError(
            f"{store} is not finished ({partial.name} is there). Run the same `segment` command to finish it."
        )
    raise StoreError(f"There is no store {store}. It may have been moved, or removed by --discard-store.")
