"""Read and write the nuclei of the store, one zarr (v3) per slide.

The root group is the label pyramid itself, as NGFF 0.5 asks:

    X.zarr/            OME-Zarr label image; attributes "ome" and "sac_wsi" (provenance)
      0, 1, 2 ...      uint32 y x, nearest neighbour
      nuclei/          one array per column of ``NucleusRows``; ragged ones with their ``*_start``
        page_start     first row of each page of the frame
      tissue           the tissue mask, uint8
      tile_status      how the work on each tile ended, uint8: 0 no tissue, 1 done, 2 failed

Rows are ordered by page (a square of the frame; pages row by row) and by id within a page. The size of a page
is part of the format, so tiles and blocks do not change the order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from sac_wsi.errors import StoreError
from sac_wsi.nuclei.table import MEASUREMENTS, NucleusRows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sac_wsi.geometry import Box

PAGE_PX = 2048
ROWS_AT_ONCE = 8_192

_RAGGED = {"polygon_xy_centipx": "polygon_start", "mask_bits": "mask_start"}
_COLUMNS: dict[str, tuple[type[np.generic], int]] = {
    "id": (np.int64, 0),
    "uuid": (np.uint8, 16),
    "anchor_yx": (np.int32, 2),
    "box": (np.int32, 4),
    "area_px": (np.int32, 0),
    "score": (np.float32, 0),
    "measurements": (np.float32, len(MEASUREMENTS)),
    "polygon_start": (np.int64, 0),
    "polygon_xy_centipx": (np.int32, 2),
    "mask_start": (np.int64, 0),
    "mask_bits": (np.uint8, 0),
}
_CHUNK_ROWS = 2 * ROWS_AT_ONCE
_CHUNK_RAGGED = 1 << 19
_REACH_PX = 512
"""Masks reach less far from their anchors, because halos are narrower."""


def compressor() -> Any:
    """Return a fast codec with a checksum, so that damage is found when an array is read."""
    return ZstdCodec(level=1, checksum=True)


class TableWriter:
    """Append rows to the columns of a store; memory holds less than a chunk of each column."""

    def __init__(self, store: Path, rows: int, vertices: int, mask_bytes: int) -> None:
        group = zarr.open_group(store, mode="a", path="nuclei")
        lengths = {"polygon_xy_centipx": vertices, "mask_bits": mask_bytes}
        lengths |= dict.fromkeys(_RAGGED.values(), rows + 1)
        self._columns = {}
        for name, (dtype, width) in _COLUMNS.items():
            length = lengths.get(name, rows)
            chunk = min(_CHUNK_RAGGED if name in _RAGGED else _CHUNK_ROWS, max(1, length))
            array = group.create_array(
                name,
                shape=(length, width) if width else (length,),
                chunks=(chunk, width) if width else (chunk,),
                dtype=dtype,
                compressors=compressor(),
            )
            self._columns[name] = _ColumnWriter(array, chunk)
        group["measurements"].attrs["columns"] = list(MEASUREMENTS)
        for start in _RAGGED.values():
            self._columns[start].append(np.zeros(1, np.int64))
        self._ends = dict.fromkeys(_RAGGED, 0)

    def append(self, rows: NucleusRows) -> None:
        """Append rows, in the table's order."""
        for name, column in self._columns.items():
            values = getattr(rows, name)
            for flat, start in _RAGGED.items():
                if name == start:
                    values = values[1:] - values[0] + self._ends[flat]
                    self._ends[flat] = int(values[-1]) if len(values) else self._ends[flat]
            column.append(values)

    def close(self) -> None:
        """Write the rest; raise StoreError if the table did not get the announced number of rows."""
        for name, column in self._columns.items():
            column.close(name)


class _ColumnWriter:
    """Write whole chunks, so that each is compressed once."""

    def __init__(self, array: zarr.Array[Any], chunk: int) -> None:
        self._array, self._chunk = array, chunk
        self._waiting: list[NDArray[Any]] = []
        self._waiting_rows = 0
        self._written = 0

    def append(self, values: NDArray[Any]) -> None:
        self._waiting.append(values)
        self._waiting_rows += len(values)
        if self._waiting_rows >= self._chunk:
            whole = np.concatenate(self._waiting)
            ready = len(whole) // self._chunk * self._chunk
            self._write(whole[:ready])
            self._waiting, self._waiting_rows = [whole[ready:].copy()], len(whole) - ready

    def close(self, name: str) -> None:
        if self._waiting_rows:
            self._write(np.concatenate(self._waiting))
        if self._written != self._array.shape[0]:
            raise StoreError(f"Column {name} got {self._written} values, needed {self._array.shape[0]}.")

    def _write(self, values: NDArray[Any]) -> None:
        self._array[self._written : self._written + len(values)] = values
        self._written += len(values)


@dataclass(frozen=True)
class Masks:
    """The columns of ``NucleusRows`` that are needed to draw masks."""

    id: NDArray[np.int64]
    box: NDArray[np.int32]
    mask_start: NDArray[np.int64]
    mask_bits: NDArray[np.uint8]


def plain_columns() -> tuple[str, ...]:
    """Return the names of the columns with one value, or one row of values, for each nucleus."""
    ragged = {*_RAGGED, *_RAGGED.values(), "measurements"}
    return (*(name for name in _COLUMNS if name not in ragged), *MEASUREMENTS)


@dataclass(frozen=True)
class Table:
    """The nuclei of a finished store; reads only the columns and rows that are used."""

    store: Path
    _opened: dict[str, StoredArray] = field(default_factory=dict, compare=False, repr=False)

    def __len__(self) -> int:
        return int(self._array("id").shape[0])

    def column(self, name: str, rows: slice = slice(None)) -> NDArray[Any]:
        """Return one column or measurement, or some of its rows."""
        if name in MEASUREMENTS:
            return self._array("measurements")[rows, MEASUREMENTS.index(name)]
        if name not in plain_columns():
            raise KeyError(f"no column {name!r}; there are {', '.join(plain_columns())}")
        return self._array(name)[rows]

    def rows(self, first: int, end: int) -> NucleusRows:
        """Return the rows from ``first`` to before ``end``."""
        return NucleusRows(**self._values(first, end, [f.name for f in fields(NucleusRows)]))

    def batches(self) -> Iterator[NucleusRows]:
        """Yield all rows in order, at most ``ROWS_AT_ONCE`` at a time."""
        for first, end in _steps(0, len(self)):
            yield self.rows(first, end)

    def near(self, box_frame: Box) -> Iterator[NucleusRows]:
        """Yield the rows of all pages from which a mask may reach into the box."""
        for first, end in self._pages_near(box_frame):
            yield self.rows(first, end)

    def masks_near(self, box_frame: Box) -> Iterator[Masks]:
        """Yield the same rows as `near`, but only the columns needed to draw masks."""
        for first, end in self._pages_near(box_frame):
            yield Masks(**self._values(first, end, [f.name for f in fields(Masks)]))

    def _pages_near(self, box_frame: Box) -> Iterator[tuple[int, int]]:
        pages = self._array("page_start")
        start = pages[:]
        rows, cols = pages.attrs["pages_yx"]
        reach = box_frame.dilate(_REACH_PX)
        col0, col1 = max(0, reach.x0 // PAGE_PX), min(cols, (reach.x1 - 1) // PAGE_PX + 1)
        for row in range(max(0, reach.y0 // PAGE_PX), min(rows, (reach.y1 - 1) // PAGE_PX + 1)):
            if col0 < col1:
                yield from _steps(int(start[row * cols + col0]), int(start[row * cols + col1]))

    def _values(self, first: int, end: int, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        values: dict[str, NDArray[Any]] = {}
        for name in names:
            if name not in _RAGGED:
                last = end + 1 if name in _RAGGED.values() else end
                values[name] = self._array(name)[first:last]
        for flat, start in _RAGGED.items():
            if flat in names:
                bounds = values[start]
                values[flat] = self._array(flat)[int(bounds[0]) : int(bounds[-1])]
                values[start] = bounds - bounds[0]
        return values

    def _array(self, name: str) -> StoredArray:
        if name not in self._opened:
            self._opened[name] = open_array(self.store, f"nuclei/{name}")
        return self._opened[name]


def _steps(first: int, end: int) -> Iterator[tuple[int, int]]:
    for at in range(first, end, ROWS_AT_ONCE):
        yield at, min(at + ROWS_AT_ONCE, end)


@dataclass(frozen=True)
class StoredArray:
    """An array of a finished store; any error while reading becomes a StoreError that names the array."""

    array: zarr.Array[Any]
    place: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.array.shape

    @property
    def attrs(self) -> Mapping[str, Any]:
        """Attributes of the array."""
        return self.array.attrs

    def __getitem__(self, key: Any) -> NDArray[Any]:
        try:
            return np.asarray(self.array[key])
        except Exception as error:
            raise StoreError(
                f"{self.place} is damaged ({type(error).__name__}). Run `segment` again with --overwrite."
            ) from error


def open_array(store: Path, name: str) -> StoredArray:
    """Open an array of a finished store for reading; raise StoreError if it is missing."""
    try:
        return StoredArray(zarr.open_array(store, path=name, mode="r"), f"{store}/{name}")
    except Exception as error:  # zarr raises many kinds for damaged metadata
        raise StoreError(
            f"{store} lacks the array {name!r}: not a sac-wsi store, or a damaged one."
        ) from error
