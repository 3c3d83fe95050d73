"""Find nuclei that overlap, in any order of the table.

Polygons are written to a temporary file, sorted by the cells of a coarse grid that they touch, and then
compared cell by cell. Memory is one batch or one cell; the temporary file is about as large as the polygons:
0.35 GB for a million nuclei. A pair that shares several cells is compared in only one of them: the cell with
the top left corner of the overlap of their boxes.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import shapely
from numpy.typing import NDArray

from sac_wsi.nuclei.columns import take_ragged
from sac_wsi.nuclei.table import CENTIPIXEL, NucleusRows
from sac_wsi.verify.findings import Findings, nucleus
from sac_wsi.verify.shapes import bounds_centipx, inside, polygons_px

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sac_wsi.geometry import Box

CELL_PX = 4096
TOLERATED_PX = 1.0
TOLERATED_PART = 0.01


@dataclass(frozen=True)
class _Rings:
    """Open rings with the ids of their nuclei."""

    id: NDArray[np.int64]
    start: NDArray[np.int64]
    xy_centipx: NDArray[np.int32]

    def take(self, index: NDArray[np.int64]) -> _Rings:
        start, xy = take_ragged(self.start, self.xy_centipx, index)
        return _Rings(self.id[index], start, xy.astype(np.int32))


@dataclass
class _CellFile:
    """Rings on disk by grid cell; only their positions in the file are in memory."""

    file: BinaryIO
    places: defaultdict[tuple[int, int], list[tuple[int, int, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def append(self, cell: tuple[int, int], rings: _Rings) -> None:
        self.places[cell].append((self.file.tell(), len(rings.id), len(rings.xy_centipx)))
        for column in (rings.id, rings.start, rings.xy_centipx):
            self.file.write(np.ascontiguousarray(column).data)

    def read(self, cell: tuple[int, int]) -> _Rings:
        parts = [self._read_part(*place) for place in self.places[cell]]
        sizes = np.concatenate([np.diff(part.start) for part in parts])
        return _Rings(
            np.concatenate([part.id for part in parts]),
            np.concatenate([[0], np.cumsum(sizes)]),
            np.concatenate([part.xy_centipx for part in parts]),
        )

    def _read_part(self, offset: int, nuclei: int, vertices: int) -> _Rings:
        self.file.seek(offset)
        ids = np.frombuffer(self.file.read(8 * nuclei), np.int64)
        start = np.frombuffer(self.file.read(8 * (nuclei + 1)), np.int64)
        xy = np.frombuffer(self.file.read(8 * vertices), np.int32).reshape(-1, 2)
        return _Rings(ids, start, xy)


def check_overlaps(batches: Iterable[NucleusRows], slide: Box, *, cell_px: int = CELL_PX) -> Findings:
    """Find pairs whose overlap exceeds 1 px² and 1 % of the smaller nucleus.

    Such a pair is a nucleus found twice, or a bad seam. ``slide`` is in level-0 pixels. Polygons that are
    invalid or outside of it are skipped; ``check_rows`` reports them.
    """
    findings = Findings()
    with tempfile.TemporaryFile(prefix="sac-wsi-check-") as file:
        cells = _CellFile(file)
        for rows in batches:
            _write_by_cell(_comparable(rows, slide), cells, cell_px)
        for cell in sorted(cells.places):
            _compare(cells.read(cell), cell, cell_px, findings)
    return findings


def _comparable(rows: NucleusRows, slide: Box) -> _Rings:
    """Return the valid rings inside the slide; a ring outside could touch any number of cells."""
    rings = _Rings(rows.id, rows.polygon_start, rows.polygon_xy_centipx)
    rings = rings.take(np.flatnonzero(np.diff(rings.start) >= 3))
    if not len(rings.id):
        return rings
    bounds = bounds_centipx(rings.start, rings.xy_centipx)
    valid = shapely.is_valid(polygons_px(rings.start, rings.xy_centipx))
    return rings.take(np.flatnonzero(inside(bounds, slide) & valid))


def _write_by_cell(rings: _Rings, cells: _CellFile, cell_px: int) -> None:
    if not len(rings.id):
        return
    reach = bounds_centipx(rings.start, rings.xy_centipx) // (cell_px * CENTIPIXEL)
    members: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for i, (y0, x0, y1, x1) in enumerate(reach.tolist()):
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                members[y, x].append(i)
    for cell, index in members.items():
        cells.append(cell, rings.take(np.array(index)))


def _compare(rings: _Rings, cell: tuple[int, int], cell_px: int, findings: Findings) -> None:
    polygons = polygons_px(rings.start, rings.xy_centipx)
    left, right = shapely.STRtree(polygons).query(polygons)
    once = left < right
    left, right = left[once], right[once]
    bounds = bounds_centipx(rings.start, rings.xy_centipx)
    corner = np.maximum(bounds[left, :2], bounds[right, :2]) // (cell_px * CENTIPIXEL)
    here = (corner == cell).all(1)
    left, right = left[here], right[here]
    shared_px = shapely.area(shapely.intersection(polygons[left], polygons[right]))
    area_px = shapely.area(polygons)
    smaller_px = np.minimum(area_px[left], area_px[right])
    for k in np.flatnonzero(shared_px > np.maximum(TOLERATED_PX, TOLERATED_PART * smaller_px)).tolist():
        first, second = sorted((int(rings.id[left[k]]), int(rings.id[right[k]])))
        findings.add(
            "overlap",
            nucleus(first),
            f"shares {shared_px[k]:.1f} px² with nucleus {second}; the smaller has {smaller_px[k]:.1f} px²",
        )
