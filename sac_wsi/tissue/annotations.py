"""Read the geometries that a person drew in QuPath from a GeoJSON file."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geojson
import numpy as np
import shapely
import shapely.geometry
from shapely.geometry.base import BaseGeometry

from sac_wsi.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Annotation:
    """A 2-D geometry in (x, y) level-0 pixels, and the name of its class in QuPath ("" if it has none)."""

    geometry: BaseGeometry
    class_name: str


@dataclass(frozen=True)
class _Wanted:
    path: Path
    types: tuple[str, ...]


def read_annotations(path: Path, types: tuple[str, ...]) -> list[Annotation]:
    """Return all geometries of a GeoJSON file (plain or gzip), in its order.

    A list, a collection, a feature and a bare geometry are read; a feature without a geometry is skipped.

    Raises:
        RequestError: The file cannot be read, is damaged, or has a geometry that is not one of ``types``.
    """
    wanted = _Wanted(path, types)
    return list(_annotations(_load(wanted), wanted, ""))


def needed(types: tuple[str, ...]) -> str:
    """Return the end of a message: which geometries were needed, and how to export them."""
    kinds = " or ".join(f"{kind}s" for kind in types)
    return f"needed {kinds}. Export the annotations from QuPath as GeoJSON"


def _load(wanted: _Wanted) -> Any:
    try:
        raw = wanted.path.read_bytes()
        return geojson.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
    except OSError as error:  # also raised for a damaged gzip file
        raise RequestError(
            f"{wanted.path} cannot be read ({error.strerror or error}): {needed(wanted.types)}"
        ) from error
    except (ValueError, TypeError, AttributeError, RecursionError, EOFError, zlib.error) as error:
        raise RequestError(f"{wanted.path} is not valid GeoJSON ({error}): {needed(wanted.types)}") from error


def _annotations(node: Any, wanted: _Wanted, class_name: str) -> Iterator[Annotation]:
    if isinstance(node, list):
        for item in node:
            yield from _annotations(item, wanted, class_name)
        return
    kind = node.get("type") if isinstance(node, dict) else type(node).__name__
    members = {"FeatureCollection": "features", "GeometryCollection": "geometries"}
    if kind in wanted.types:
        yield Annotation(_geometry(node, wanted), class_name)
    elif kind in members:
        yield from _annotations(list(node.get(members[kind]) or []), wanted, class_name)
    elif kind == "Feature":
        if node.get("geometry"):
            yield from _annotations(node["geometry"], wanted, _class_name(node))
    else:
        raise RequestError(f"{wanted.path} contains a {kind}: {needed(wanted.types)}")


def _geometry(node: Any, wanted: _Wanted) -> BaseGeometry:
    try:
        geometry: BaseGeometry = shapely.force_2d(shapely.geometry.shape(node))
    except (ValueError, TypeError, IndexError, KeyError, shapely.errors.ShapelyError) as error:
        raise RequestError(
            f"{wanted.path} contains a broken {node['type']} ({error}): {needed(wanted.types)}"
        ) from error
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        raise RequestError(
            f"{wanted.path} contains a {node['type']} whose coordinates are not finite numbers: "
            f"{needed(wanted.types)}"
        )
    return geometry


def _class_name(feature: Any) -> str:
    properties = feature.get("properties")
    classification = properties.get("classification") if isinstance(properties, dict) else None
    name = classification.get("name") if isinstance(classification, dict) else classification
    return name if isinstance(name, str) else ""
