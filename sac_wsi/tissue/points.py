"""Read points that a person set on a slide: each says that there is a nucleus, or that there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

from sac_wsi.errors import RequestError
from sac_wsi.tissue.annotations import needed, read_annotations

if TYPE_CHECKING:
    from pathlib import Path

NEGATIVE = ("negative", "background", "ignore", "ignore*")
"""Classes, in lower case, whose points say that there is no nucleus; QuPath has the last one by default."""

_TYPES = ("Point", "MultiPoint")


@dataclass(frozen=True, eq=False)
class PointAnnotations:
    """(N, 2) y, x in level-0 pixels of the slide, and (N,) whether each point is on a nucleus."""

    yx_level0: NDArray[np.float64]
    positive: NDArray[np.bool_]


def points_from_geojson(path: Path, shape_yx_level0: tuple[int, int]) -> PointAnnotations:
    """Return all points of a GeoJSON file, as QuPath exports them.

    Raises:
        RequestError: The file has no points, other geometries, or points outside the slide.
    """
    annotations = read_annotations(path, _TYPES)
    coordinates = [shapely.get_coordinates(each.geometry) for each in annotations]
    counts = [len(each) for each in coordinates]
    if sum(counts) == 0:
        raise RequestError(f"{path} contains no point: {needed(_TYPES)}")
    yx = np.concatenate(coordinates)[:, ::-1].astype(np.float64)
    height, width = shape_yx_level0
    outside = ~((yx >= 0) & (yx < [height, width])).all(axis=1)
    if outside.any():
        y, x = yx[outside][0].tolist()
        raise RequestError(
            f"{path}: {int(outside.sum())} of {len(yx)} points lie outside the slide of {width} x {height} "
            f"(width x height), the first at x {x:g}, y {y:g}: needed level-0 pixels of this slide, as "
            "QuPath exports them"
        )
    positive = [each.class_name.strip().lower() not in NEGATIVE for each in annotations]
    return PointAnnotations(yx, np.repeat(np.array(positive, np.bool_), counts))
