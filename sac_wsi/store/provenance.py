"""Read and check what a store says of its origin: the attribute ``sac_wsi`` of its root."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson
import zarr

from sac_wsi.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
_PAIR = "two whole numbers"
_NUMBER, _COUNT, _TEXT = "a number", "a whole number", "a text"
_NEEDED: Mapping[str, Any] = {
    "run_id": _TEXT,
    "version": _TEXT,
    "manifest": {"slide": {}, "model": {}, "config": {}},
    "model": {"name": _TEXT, "fingerprint": _TEXT},
    "slide": {
        "path": _TEXT,
        "fingerprint": _TEXT,
        "mpp_source": _TEXT,
        "shape_yx": _PAIR,
        "origin_yx": _PAIR,
        "mpp": (_NUMBER, None),
    },
    "frame": {"mpp": _NUMBER, "downsample": _NUMBER, "shape_yx": _PAIR},
    "labels": {"shape_yx": _PAIR, "mpp": _NUMBER, "frame_per_label": _NUMBER},
    "counts": {
        "nuclei": _COUNT,
        "tiles": {"done": _COUNT, "failed": _COUNT, "skipped": _COUNT},
        "dropped": {"doubled": _COUNT, "remnants": _COUNT, "larger_than_halo": _COUNT},
    },
    "failures": [],
    "tissue_mm2": _NUMBER,
    "warnings": [],
}
_LARGEST = 1e15
_AGAIN = "Run `segment` again with --overwrite."


def read_provenance(store: Path, *, any_format: bool = False) -> dict[str, Any]:
    """Return the store's attribute ``sac_wsi``: slide, model, settings, counts.

    Args:
        store: The store's folder.
        any_format: Take a store of another version of sac-wsi too; its content is not checked.

    Raises:
        StoreError: It is no store, a damaged one, or one of another format.
    """
    try:
        attributes = zarr.open_group(store, mode="r").attrs.asdict()
    except Exception as error:
        raise StoreError(f"{store} cannot be read as a zarr group ({type(error).__name__}).") from error
    provenance = attributes.get("sac_wsi")
    if not isinstance(provenance, Mapping):
        raise StoreError(f"{store} was not written by sac-wsi: its attributes have no 'sac_wsi'.")
    if any_format:
        return dict(provenance)
    if provenance.get("format") != FORMAT:
        raise StoreError(
            f"{store} has format {reprlib.repr(provenance.get('format'))}; this sac-wsi reads format "
            f"{FORMAT}. Use the version that wrote it, {reprlib.repr(provenance.get('version'))}."
        )
    if wrong := _first_wrong(provenance, _NEEDED, ""):
        raise StoreError(f"{store} is damaged: its attributes have no sound {wrong!r}. {_AGAIN}")
    try:
        # the path may be no UTF-8; it does not enter exports
        slide: Any = provenance["slide"]
        orjson.dumps({**provenance, "slide": {**slide, "path": ""}})
    except TypeError as error:  # half a surrogate, a number of more than 64 bits
        raise StoreError(f"{store} is damaged: its attributes cannot be written as JSON. {_AGAIN}") from error
    return dict(provenance)


def _first_wrong(found: Any, needed: Any, name: str) -> str:
    """Return the dotted name of the first value that is missing or of another kind; "" if all are sound."""
    if isinstance(needed, tuple):
        return "" if found is None or not _first_wrong(found, needed[0], name) else name
    if isinstance(needed, Mapping):
        if not isinstance(found, Mapping):
            return name
        inside = (_first_wrong(found.get(key), wanted, f"{name}.{key}") for key, wanted in needed.items())
        return next((wrong.lstrip(".") for wrong in inside if wrong), "")
    return "" if _is_sound(found, needed) else name


def _is_sound(found: Any, needed: Any) -> bool:
    if isinstance(needed, list):
        return isinstance(found, list | tuple) and all(_is_entry(each) for each in found)
    if needed == _PAIR:
        return isinstance(found, list | tuple) and len(found) == 2 and all(_is_count(each) for each in found)
    if needed == _COUNT:
        return _is_count(found)
    if needed == _NUMBER:
        return isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found < _LARGEST
    return isinstance(found, str)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST


def _is_entry(value: Any) -> bool:
    """Return whether a value is a warning, or a failure: a tile and its reason."""
    if isinstance(value, str):
        return True
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and _is_count(value[0])
        and isinstance(value[1], str)
    )
