"""Write nuclei as the bytes of GeoJSON features, one feature per line.

A feature is assembled byte by byte from the integers of the table: no Python object per nucleus or vertex,
and no float in between, so the file has exactly the values of the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import orjson
from numba import njit

from sac_wsi.errors import StoreError
from sac_wsi.export.formats import SEPARATOR
from sac_wsi.nuclei.table import CENTIPIXEL, MEASUREMENTS, NucleusRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

OBJECT_TYPE = "detection"
CLASSIFICATION = {"name": "Nucleus", "color": [200, 0, 0]}
SCORE = "Detection probability"
"""QuPath's own name, as its extensions for StarDist and InstanSeg use it."""
MEASUREMENT_STEPS = 10_000
"""Measurements are written with four decimals: a tenth of a nanometre, finer than their accuracy."""

_BEFORE_UUID = b'{"type":"Feature","id":"'
_BEFORE_RING = b'","geometry":{"type":"Polygon","coordinates":[['
_BEFORE_MEASUREMENTS = b']]},"properties":{"objectType":%b,"classification":%b,"measurements":{' % (
    orjson.dumps(OBJECT_TYPE),
    orjson.dumps(CLASSIFICATION),
)
_END = b"}}}"

_UUID_LENGTH = 36
_VERTEX_LENGTH = len("[-21474836.48,-21474836.48],")
_VALUE_LENGTH = len("-461168601842738.7904,")
_LARGEST_FIXED = 2**62


def feature_lines(rows: NucleusRows, first: int, stop: int) -> NDArray[np.uint8]:
    """Return the features of ``rows[first:stop]`` as UTF-8 bytes, with ``SEPARATOR`` between them."""
    _refuse_open_polygons(rows, first, stop)
    start = rows.polygon_start[first : stop + 1]
    values = np.column_stack([rows.measurements[first:stop], rows.score[first:stop]])
    out = np.empty(_room(stop - first, int(start[-1] - start[0])), np.uint8)
    text = uuid_text(rows.uuid[first:stop])
    used = _write_features(out, text, start, rows.polygon_xy_centipx, fixed_point(values), _TEMPLATE, _NAMES)
    return out[: used - len(SEPARATOR)]


def uuid_text(uuid: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (N, 16) bytes as (N, 36) ASCII characters in groups of 8-4-4-4-12."""
    nibbles = np.stack([uuid >> 4, uuid & 15], axis=-1).reshape(len(uuid), 32)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)[nibbles]
    return np.insert(digits, [8, 12, 16, 20], ord("-"), axis=1)


def fixed_point(values: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return values as integers in units of ``1 / MEASUREMENT_STEPS``, and which of them can be written.

    NaN and infinity cannot (JSON has neither), and neither can values that no 64-bit integer can hold.
    """
    scaled = np.rint(values.astype(np.float64) * MEASUREMENT_STEPS)
    known = np.abs(scaled) <= _LARGEST_FIXED
    return np.where(known, scaled, 0).astype(np.int64), known


def _refuse_open_polygons(rows: NucleusRows, first: int, stop: int) -> None:
    """Raise StoreError for a ring of fewer than three vertices: QuPath would refuse the whole file."""
    sizes = np.diff(rows.polygon_start[first : stop + 1])
    if (sizes < 3).any():
        row = first + int(np.argmax(sizes < 3))
        raise StoreError(
            f"Nucleus {rows.id[row]} has a polygon of {sizes[row - first]} vertices; it needs at least 3. "
            "The store is damaged: run `sac-wsi verify` on it, then segment the slide again."
        )


def _bytes(*texts: bytes) -> tuple[NDArray[np.uint8], ...]:
    return tuple(np.frombuffer(text, np.uint8) for text in texts)


def _keys(names: tuple[str, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the quoted names with their colons as one array, and where each starts."""
    keys = [orjson.dumps(name) + b":" for name in names]
    start = np.concatenate([[0], np.cumsum([len(key) for key in keys])])
    return np.frombuffer(b"".join(keys), np.uint8), start.astype(np.int64)


_TEMPLATE = _bytes(_BEFORE_UUID, _BEFORE_RING, _BEFORE_MEASUREMENTS, _END)
_NAMES = _keys((*MEASUREMENTS, SCORE))


def _room(nuclei: int, vertices: int) -> int:
    """Return a number of bytes that is enough for any values; pages that are never written cost no memory."""
    names, name_start = _NAMES
    values = len(names) + (len(name_start) - 1) * _VALUE_LENGTH
    frame = sum(len(text) for text in _TEMPLATE) + _UUID_LENGTH + len(SEPARATOR)
    return nuclei * (frame + values + _VERTEX_LENGTH) + vertices * _VERTEX_LENGTH


@njit(nogil=True, cache=True)
def _write_features(
    out: NDArray[np.uint8],
    uuid_text: NDArray[np.uint8],
    polygon_start: NDArray[np.int64],
    xy_centipx: NDArray[np.int32],
    measurements: tuple[NDArray[np.int64], NDArray[np.bool_]],
    template: tuple[NDArray[np.uint8], ...],
    keys: tuple[NDArray[np.uint8], NDArray[np.int64]],
) -> int:
    """Write all features into ``out``; return the number of bytes used."""
    fixed, known = measurements
    before_uuid, before_ring, before_measurements, end = template
    names, name_start = keys
    at = 0
    for i in range(len(uuid_text)):
        at = _put(out, at, before_uuid)
        at = _put(out, at, uuid_text[i])
        at = _put(out, at, before_ring)
        at = _put_ring(out, at, xy_centipx[polygon_start[i] : polygon_start[i + 1]])
        at = _put(out, at, before_measurements)
        at = _put_measurements(out, at, fixed[i], known[i], names, name_start)
        at = _put(out, at, end)
        out[at] = ord(",")
        out[at + 1] = ord("\n")
        at += 2
    return at


@njit(nogil=True, cache=True)
def _put(out: NDArray[np.uint8], at: int, text: NDArray[np.uint8]) -> int:
    for k in range(len(text)):
        out[at + k] = text[k]
    return at + len(text)


@njit(nogil=True, cache=True)
def _put_ring(out: NDArray[np.uint8], at: int, xy_centipx: NDArray[np.int32]) -> int:
    """Write ``[x,y],…`` with the first vertex repeated at the end, as GeoJSON closes a ring."""
    for k in range(len(xy_centipx) + 1):
        vertex = k % len(xy_centipx)
        out[at] = ord("[")
        at = _put_fixed(out, at + 1, np.int64(xy_centipx[vertex, 0]), CENTIPIXEL)
        out[at] = ord(",")
        at = _put_fixed(out, at + 1, np.int64(xy_centipx[vertex, 1]), CENTIPIXEL)
        out[at] = ord("]")
        out[at + 1] = ord(",")
        at += 2
    return at - 1


@njit(nogil=True, cache=True)
def _put_measurements(
    out: NDArray[np.uint8],
    at: int,
    fixed: NDArray[np.int64],
    known: NDArray[np.bool_],
    names: NDArray[np.uint8],
    name_start: NDArray[np.int64],
) -> int:
    any_before = False
    for k in range(len(fixed)):
        if known[k]:
            if any_before:
                out[at] = ord(",")
                at += 1
            at = _put(out, at, names[name_start[k] : name_start[k + 1]])
            at = _put_fixed(out, at, fixed[k], MEASUREMENT_STEPS)
            any_before = True
    return at


@njit(nogil=True, cache=True)
def _put_fixed(out: NDArray[np.uint8], at: int, value: int, steps: int) -> int:
    """Write ``value / steps`` in the shortest exact decimal form: 12, 12.5, -0.25."""
    if value < 0:
        out[at] = ord("-")
        at += 1
        value = -value
    at = _put_integer(out, at, value // steps)
    rest = value % steps
    if rest:
        out[at] = ord(".")
        at += 1
        while rest:
            rest *= 10
            out[at] = ord("0") + rest // steps
            at += 1
            rest %= steps
    return at


@njit(nogil=True, cache=True)
def _put_integer(out: NDArray[np.uint8], at: int, value: int) -> int:
    digits = 1
    limit = 10
    while value >= limit:
        digits += 1
        limit *= 10
    for k in range(at + digits - 1, at - 1, -1):
        out[k] = ord("0") + value % 10
        value //= 10
    return at + digits
