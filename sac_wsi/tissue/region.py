"""Read a region that a person drew on a slide, check it, and cut it to the slide."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from skimage import draw

from sac_wsi.errors import RequestError
from sac_wsi.tissue.annotations import needed, read_annotations
from sac_wsi.tissue.find import TissueMask

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_TYPES = ("Polygon", "MultiPolygon")
_REGION_DOWNSAMPLE = 32.0
_REGION_MASK_PX = 15_000_000  # the mask of a region stays below 16 M pixels for any slide


def tissue_from_geojson(path: Path, shape_yx_level0: tuple[int, int]) -> TissueMask:
    """Return the polygons of a GeoJSON file (plain or gzip), as QuPath exports them, cut to the slide.

    Raises:
        RequestError: The file has no polygon, other geometries, or nothing that lies on the slide.
    """
    found = [each.geometry for each in read_annotations(path, _TYPES)]
    if not found:
        raise RequestError(f"{path} contains no geometry: {needed(_TYPES)}")
    repaired = not all(geometry.is_valid for geometry in found)
    # the repair of a bow tie can leave lines beside the polygons
    pieces = shapely.get_parts(shapely.get_parts([shapely.make_valid(geometry) for geometry in found]))
    drawn = shapely.union_all([piece for piece in pieces if piece.geom_type == "Polygon"])
    height, width = shape_yx_level0
    region = shapely.intersection(drawn, shapely.box(0, 0, width, height))
    if region.area == 0:
        bounds = "nothing with an area" if drawn.is_empty else f"x, y {[round(v) for v in drawn.bounds]}"
        raise RequestError(
            f"{path} covers {bounds}, outside the slide of {width} x {height} (width x height): "
            "its coordinates must be level-0 pixels of this slide, as QuPath exports them"
        )
    shapely.prepare(region)
    downsample = max(_REGION_DOWNSAMPLE, math.sqrt(height * width / _REGION_MASK_PX))
    mask = _rasterise(region, shape_yx_level0, downsample)
    return TissueMask(mask, downsample, region, ("repaired",) if repaired else ())


def read_polygons(path: Path) -> list[shapely.Polygon]:
    """Return the polygons of a GeoJSON file as drawn, in its order; a MultiPolygon gives several."""
    found = shapely.get_parts([each.geometry for each in read_annotations(path, _TYPES)])
    return [polygon for polygon in found if not polygon.is_empty]


def _rasterise(region: Any, shape_yx_level0: tuple[int, int], downsample: float) -> NDArray[np.bool_]:
    """Return the mask whose pixels have their centre in the region."""
    height, width = (math.ceil(side / downsample) for side in shape_yx_level0)
    mask = np.zeros((height, width), np.bool_)
    parts = [part for part in shapely.get_parts(region) if part.geom_type == "Polygon"]
    # the largest first: a polygon in the hole of another one must be drawn after the hole
    for part in sorted(parts, key=lambda polygon: -polygon.area):
        for ring, value in [(part.exterior, True), *((hole, False) for hole in part.interiors)]:
            # the index of a pixel is the position of its centre
            x, y = (shapely.get_coordinates(ring) / downsample - 0.5).T
            mask[draw.polygon(y, x, mask.shape)] = value
    return mask
