"""Check exported GeoJSON features against the table: same nuclei, same order, readable by QuPath."""

from __future__ import annotations

from itertools import zip_longest
from math import isfinite
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from sac_wsi.export.features import SCORE
from sac_wsi.nuclei.table import CENTIPIXEL, MEASUREMENTS, NucleusRows
from sac_wsi.verify.findings import Findings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

_ROUNDING = 1e-4


def check_features(features: Iterable[dict[str, Any]], batches: Iterable[NucleusRows]) -> Findings:
    """Check that QuPath can read every feature, and that the k-th feature is the table's k-th nucleus.

    QuPath refuses a whole file because of one bad feature, or silently makes an annotation of it.
    """
    findings = Findings()
    for number, (feature, row) in enumerate(zip_longest(features, _single_rows(batches)), 1):
        where = f"feature {number}"
        if feature is None:
            findings.add("feature-missing", where, "the table has more nuclei than the file has features")
            continue
        for kind, detail in _form_problems(feature):
            findings.add(kind, where, detail)
        ring = _closed_ring(feature.get("geometry"))
        if ring is None:
            findings.add("feature-geometry", where, "not a Polygon of one closed ring of x, y")
        if row is None:
            findings.add("feature-extra", where, "the file has more features than the table has nuclei")
        else:
            for kind, detail in _differences(feature, ring, *row):
                findings.add(kind, where, detail)
    return findings


def _single_rows(batches: Iterable[NucleusRows]) -> Iterator[tuple[NucleusRows, int]]:
    for rows in batches:
        for i in range(len(rows)):
            yield rows, i


def _form_problems(feature: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield kind and detail of everything in a feature that QuPath's reader does not accept."""
    properties = feature.get("properties")
    if feature.get("type") != "Feature" or not isinstance(properties, dict):
        yield "feature-form", "not a GeoJSON Feature with properties"
        return
    if properties.get("objectType") != "detection":
        yield (
            "feature-object-type",
            f"properties.objectType is {properties.get('objectType')!r}, not 'detection'",
        )
    if not _is_classification(properties.get("classification")):
        yield "feature-classification", f"{properties.get('classification')!r} is not a name with [r, g, b]"
    if not _are_numbers(properties.get("measurements")):
        yield "feature-measurements", "not a map of names to finite numbers"


def _is_classification(value: object) -> bool:
    """Return whether QuPath accepts it: a name without ``:``, and a colour as three bytes."""
    if not isinstance(value, dict):
        return False
    name, color = value.get("name"), value.get("color")
    return (
        isinstance(name, str)
        and not set(name) & set(":\n")
        and isinstance(color, list)
        and len(color) == 3
        and all(type(part) is int and 0 <= part <= 255 for part in color)
    )


def _are_numbers(value: object) -> bool:
    """Return whether all values are numbers. They are finite: our JSON reader accepts no NaN or infinity."""
    return isinstance(value, dict) and all(type(number) in (int, float) for number in value.values())


def _closed_ring(geometry: object) -> NDArray[np.float64] | None:
    """Return the polygon's ring as (V, 2) x, y with the first vertex repeated at the end, or None."""
    if not isinstance(geometry, dict) or geometry.get("type") != "Polygon":
        return None
    rings = geometry.get("coordinates")
    if not isinstance(rings, list) or len(rings) != 1:
        return None
    try:
        ring = np.array(rings[0])
    except ValueError:  # vertices of unequal length
        return None
    if ring.dtype.kind not in "if" or ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 4:
        return None
    return ring.astype(np.float64) if (ring[0] == ring[-1]).all() else None


def _differences(
    feature: dict[str, Any], ring_px: NDArray[np.float64] | None, rows: NucleusRows, i: int
) -> Iterator[tuple[str, str]]:
    expected = str(UUID(bytes=rows.uuid[i].tobytes()))
    if feature.get("id") != expected:
        yield "feature-uuid", f"{feature.get('id')!r}, where the table has {expected} (nucleus {rows.id[i]})"
    if ring_px is not None and not _same_ring(ring_px, rows, i):
        yield "feature-coordinates", f"not the polygon of nucleus {rows.id[i]} in the table"
    measured: Any = (feature.get("properties") or {}).get("measurements")
    if _are_numbers(measured) and (name := _wrong_measurement(measured, rows, i)) is not None:
        yield "feature-measurements", f"{name!r} is not that of nucleus {rows.id[i]} in the table"


def _wrong_measurement(measured: dict[str, Any], rows: NucleusRows, i: int) -> str | None:
    """Return the first measurement that differs by more than its rounding. NaN must be missing."""
    table = dict(zip(MEASUREMENTS, rows.measurements[i].tolist(), strict=True))
    for name, value in {**table, SCORE: float(rows.score[i])}.items():
        if isfinite(value) != (name in measured):
            return name
        if name in measured and not abs(measured[name] - value) <= _ROUNDING:
            return name
    return None


def _same_ring(ring_px: NDArray[np.float64], rows: NucleusRows, i: int) -> bool:
    """Return whether the rings are equal to the last digit: both are whole hundredths of a pixel."""
    table = rows.polygon_xy_centipx[rows.polygon_start[i] : rows.polygon_start[i + 1]]
    return len(ring_px) == len(table) + 1 and bool((ring_px[:-1] == table / CENTIPIXEL).all())
