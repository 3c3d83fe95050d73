"""Check the rows of the table: polygons, measurements, ids and UUIDs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

from sac_wsi.nuclei.columns import take_ragged
from sac_wsi.nuclei.table import CENTIPIXEL, MEASUREMENTS, NucleusRows
from sac_wsi.verify.findings import Findings, nucleus
from sac_wsi.verify.shapes import bounds_centipx, inside, polygons_px

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from sac_wsi.geometry import Box

SMALLEST_AREA_PX = 0.01
"""QuPath refuses a smaller ring or loads it empty."""

_AREA = MEASUREMENTS.index("Area µm^2")
_ALWAYS_KNOWN = [MEASUREMENTS.index("Centroid X µm"), MEASUREMENTS.index("Centroid Y µm"), _AREA]


def check_rows(batches: Iterable[NucleusRows], slide: Box) -> Findings:
    """Check each nucleus, and that ids are 1..N and UUIDs unique.

    ``slide`` is in level-0 pixels. Memory: one batch, and 24 bytes per nucleus for ids and UUIDs.
    """
    findings = Findings()
    ids: list[NDArray[np.int64]] = []
    uuids: list[NDArray[np.uint8]] = []
    for rows in batches:
        _check_polygons(rows, slide, findings)
        _check_numbers(rows, findings)
        ids.append(rows.id.copy())
        uuids.append(rows.uuid.copy())
    if ids:
        _check_ids(np.concatenate(ids), findings)
        _check_uuids(np.concatenate(ids), np.concatenate(uuids), findings)
    return findings


def _check_polygons(rows: NucleusRows, slide: Box, findings: Findings) -> None:
    sizes = np.diff(rows.polygon_start)
    findings.add_flagged(
        "polygon-vertices", rows, sizes < 3, lambda i: f"{sizes[i]} vertices, at least 3 needed"
    )
    index = np.flatnonzero(sizes >= 3)
    if not len(index):
        return
    start, xy = take_ragged(rows.polygon_start, rows.polygon_xy_centipx, index)
    _check_inside(rows, index, bounds_centipx(start, xy.astype(np.int32)), slide, findings)
    polygons = polygons_px(start, xy.astype(np.int32))
    of_row = dict(zip(index.tolist(), polygons, strict=True))
    invalid = _among(len(rows), index, ~shapely.is_valid(polygons))
    findings.add_flagged("polygon-invalid", rows, invalid, lambda i: str(shapely.is_valid_reason(of_row[i])))
    tiny = _among(len(rows), index, shapely.area(polygons) < SMALLEST_AREA_PX)
    findings.add_flagged(
        "polygon-area", rows, tiny, lambda i: f"{of_row[i].area:g} px² of area, at least 0.01 needed"
    )


def _check_inside(
    rows: NucleusRows, index: NDArray[np.int64], bounds: NDArray[np.int64], slide: Box, findings: Findings
) -> None:
    reach = dict(zip(index.tolist(), bounds.tolist(), strict=True))
    findings.add_flagged(
        "polygon-outside",
        rows,
        _among(len(rows), index, ~inside(bounds, slide)),
        lambda i: f"y0, x0, y1, x1 = {[v / CENTIPIXEL for v in reach[i]]} is not in {slide}",
    )


def _check_numbers(rows: NucleusRows, findings: Findings) -> None:
    known = np.isfinite(rows.measurements[:, _ALWAYS_KNOWN]).all(axis=1)
    valid = known & (rows.measurements[:, _AREA] > 0) & ~np.isinf(rows.measurements).any(axis=1)
    findings.add_flagged(
        "measurement",
        rows,
        ~valid,
        lambda i: f"{_named(rows, i)}: centroid and area must be known, area > 0, nothing infinite",
    )
    no_score = ~((rows.score >= 0) & (rows.score <= 1))
    findings.add_flagged("score", rows, no_score, lambda i: f"{rows.score[i]} is not in 0..1")
    findings.add_flagged("area", rows, rows.area_px < 1, lambda i: f"a mask of {rows.area_px[i]} pixels")


def _named(rows: NucleusRows, i: int) -> str:
    return ", ".join(f"{n} {v:g}" for n, v in zip(MEASUREMENTS, rows.measurements[i], strict=True))


def _check_ids(ids: NDArray[np.int64], findings: Findings) -> None:
    """Check that the label values are 1..N, each used once."""
    ordered = np.sort(ids)
    for label in ordered[1:][ordered[1:] == ordered[:-1]].tolist():
        findings.add("id-repeated", nucleus(label), "the label value is used more than once")
    for label in ordered[(ordered < 1) | (ordered > len(ids))].tolist():
        findings.add("id-range", nucleus(label), f"label values must be 1..{len(ids)}")


def _check_uuids(ids: NDArray[np.int64], uuids: NDArray[np.uint8], findings: Findings) -> None:
    halves = np.ascontiguousarray(uuids).view(np.uint64)
    order = np.lexsort((halves[:, 1], halves[:, 0]))
    repeated = (halves[order[1:]] == halves[order[:-1]]).all(1)
    for before, after in zip(
        ids[order[:-1][repeated]].tolist(), ids[order[1:][repeated]].tolist(), strict=True
    ):
        findings.add("uuid-repeated", nucleus(after), f"the UUID of nucleus {before}")


def _among(count: int, index: NDArray[np.int64], flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return flags for all ``count`` rows from the flags of the rows in ``index``."""
    full = np.zeros(count, bool)
    full[index] = flags
    return full
