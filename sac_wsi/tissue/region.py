"""A region drawn by a person, as GeoJSON: parsed, checked, cut to the slide."""

from __future__ import annotations

import gzip
import math
import zlib
from typing import TYPE_CHECKING, Any

import geojson
import numpy as np
import shapely
import shapely.geometry
from skimage import draw

from sac_wsi.errors import RequestError
from sac_wsi.tissue.find import TissueMask

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_NEEDED = "needed Polygons or MultiPolygons. Export the annotations from QuPath as GeoJSON"
_REGION_DOWNSAMPLE = 32.0
_REGION_MASK_PX = 15_000_000  # the mask of a region stays below 16 M pixels however large the slide


def tissue_from_geojson(path: Path, shape_yx_level0: tuple[int, int]) -> TissueMask:
    """The polygons of a GeoJSON file (plain or gzip, QuPath's exports included) cut to the slide."""
    found = _geometries(load_geojson(path), path)
    if not found:
        raise RequestError(f"{path} holds no geometry: {_NEEDED}")
    repaired = not all(geometry.is_valid for geometry in found)
    # mending a bow tie can leave lines beside the polygons
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
    """The polygons of a GeoJSON file as drawn, in its order, a MultiPolygon's one by one; or none."""
    found = shapely.get_parts(_geometries(load_geojson(path), path))
    return [polygon for polygon in found if not polygon.is_empty]


def load_geojson(path: Path, needed: str = _NEEDED) -> Any:
    try:
        raw = path.read_bytes()
        return geojson.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
    except OSError as error:  # a damaged gzip file is one, too
        raise RequestError(f"{path} cannot be read ({error.strerror or error}): {needed}") from error
    except (ValueError, TypeError, AttributeError, RecursionError, EOFError, zlib.error) as error:
        raise RequestError(f"{path} is not valid GeoJSON ({error}): {needed}") from error


def _geometries(node: Any, path: Path) -> list[Any]:
    """All polygons under a list, a collection, a feature or a geometry; a feature without one is skipped."""
    if isinstance(node, list):
        return [geometry for item in node for geometry in _geometries(item, path)]
    kind = node.get("type") if isinstance(node, dict) else type(node).__name__
    if kind in ("Polygon", "MultiPolygon"):
        return [_polygon(node, path)]
    members = {"FeatureCollection": "features", "GeometryCollection": "geometries"}
    if kind in members:
        return _geometries(list(node.get(members[kind]) or []), path)
    if kind == "Feature":
        return _geometries(node["geometry"], path) if node.get("geometry") else []
    raise RequestError(f"{path} holds a {kind}: {_NEEDED}")


def _polygon(node: Any, path: Path) -> Any:
    try:
        geometry = shapely.force_2d(shapely.geometry.shape(node))
    except (ValueError, TypeError, IndexError, KeyError, shapely.errors.ShapelyError) as error:
        raise RequestError(f"{path} holds a broken {node['type']} ({error}): {_NEEDED}") from error
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        raise RequestError(f"{path} holds a {node['type']} with coordinates that are no numbers: {_NEEDED}")
    return geometry


def _rasterise(region: Any, shape_yx_level0: tuple[int, int], downsample: float) -> NDArray[np.bool_]:
    height, width = (math.ceil(side / downsample) for side in shape_yx_level0)
    mask = np.zeros((height, width), np.bool_)
    parts = [part for part in shapely.get_parts(region) if part.geom_type == "Polygon"]
    # the largest first: an island in another's hole must be drawn after the hole
    for part in sorted(parts, key=lambda polygon: -polygon.area):
        for ring, value in [(part.exterior, True), *((hole, False) for hole in part.interiors)]:
            # a pixel's number is the place of its centre
            x, y = (shapely.get_coordinates(ring) / downsample - 0.5).T
            mask[draw.polygon(y, x, mask.shape)] = value
    return mask
