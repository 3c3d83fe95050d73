"""Points that a person set on a slide, as GeoJSON: here is a nucleus, there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sac_wsi.errors import RequestError
from sac_wsi.tissue.region import load_geojson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEGATIVE = ("negative", "background", "ignore", "ignore*")
"""Names of classes, in whatever case, whose points say that there is no nucleus; QuPath has the last."""

_NEEDED = "needed Points or MultiPoints. Export the annotations from QuPath as GeoJSON"


@dataclass(frozen=True, eq=False)
class PointAnnotations:
    """(N, 2) y, x in level-0 pixels, the slide's corner at 0; and which of them mean a nucleus."""

    yx_level0: NDArray[np.float64]
    positive: NDArray[np.bool_]


def points_from_geojson(path: Path, shape_yx_level0: tuple[int, int]) -> PointAnnotations:
    """All points of a GeoJSON file; RequestError where it holds none, others, or some off the slide."""
    found = list(_points(load_geojson(path, _NEEDED), path, positive=True))
    if not found:
        raise RequestError(f"{path} holds no point: {_NEEDED}")
    yx = np.array([[y, x] for x, y, _ in found], np.float64)
    height, width = shape_yx_level0
    off = ~((yx >= 0) & (yx < [height, width])).all(axis=1)
    if off.any():
        y, x = yx[off][0].tolist()
        raise RequestError(
            f"{path}: {int(off.sum())} of {len(yx)} points lie outside the slide of {width} x {height} "
            f"(width x height), the first at x {x:g}, y {y:g}: needed level-0 pixels of this slide, as "
            "QuPath exports them"
        )
    return PointAnnotations(yx, np.array([positive for _, _, positive in found], np.bool_))


def _points(node: Any, path: Path, *, positive: bool) -> Iterator[tuple[float, float, bool]]:
    """x, y and kind under a list, a collection, a feature or a geometry."""
    if isinstance(node, list):
        for item in node:
            yield from _points(item, path, positive=positive)
        return
    kind = node.get("type") if isinstance(node, dict) else type(node).__name__
    if kind in ("FeatureCollection", "GeometryCollection"):
        members = node.get("features" if kind == "FeatureCollection" else "geometries")
        yield from _points(list(members or []), path, positive=positive)
    elif kind == "Feature":
        if node.get("geometry"):
            yield from _points(node["geometry"], path, positive=not _is_negative(node))
    elif kind in ("Point", "MultiPoint"):
        for place in [node.get("coordinates")] if kind == "Point" else node.get("coordinates") or []:
            yield (*_place(place, path), positive)
    else:
        raise RequestError(f"{path} holds a {kind}: {_NEEDED}")


def _is_negative(feature: Any) -> bool:
    properties = feature.get("properties")
    classification = properties.get("classification") if isinstance(properties, dict) else None
    name = classification.get("name") if isinstance(classification, dict) else classification
    return isinstance(name, str) and name.strip().lower() in NEGATIVE


def _place(place: Any, path: Path) -> tuple[float, float]:
    try:
        x, y = float(place[0]), float(place[1])
    except (TypeError, ValueError, IndexError) as error:
        raise RequestError(f"{path} holds a point without coordinates ({error}): {_NEEDED}") from None
    if not np.isfinite([x, y]).all():
        raise RequestError(f"{path} holds a point whose coordinates are no numbers: {_NEEDED}")
    return x, y
