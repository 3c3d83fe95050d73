"""Read the geometries that a person drew in QuPath from a GeoJSON file."""

from __future__ import annotations

import gzip
import io
import json
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
from sac_wsi.files.regular import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST_BYTES = 256 << 20
_LARGEST_PX = 1e9
_KINDS = ("Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon")


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
    try:
        return list(_annotations(_load(wanted), wanted, ""))
    except RecursionError:
        raise RequestError(f"{path} is nested too deeply: {needed(types)}") from None


def needed(types: tuple[str, ...]) -> str:
    """Return the end of a message: which geometries were needed, and how to export them."""
    kinds = " or ".join(f"{kind}s" for kind in types)
    return f"needed {kinds}. Export the annotations from QuPath as GeoJSON"


def _load(wanted: _Wanted) -> Any:
    try:
        text = _text(wanted.path)
    except OSError as error:  # also raised for a damaged gzip file
        reason = error.strerror or "damaged gzip"
        raise RequestError(f"{wanted.path} cannot be read ({reason}): {needed(wanted.types)}") from None
    except (EOFError, zlib.error):
        raise RequestError(f"{wanted.path} is a damaged gzip file: {needed(wanted.types)}") from None
    except ValueError:
        raise RequestError(
            f"{wanted.path} has more than {_LARGEST_BYTES >> 20} MiB of text: {needed(wanted.types)}"
        ) from None
    try:
        return geojson.loads(text)
    except json.JSONDecodeError as error:
        reason = f"line {error.lineno}, column {error.colno}"
    except Exception as error:  # noqa: BLE001 - geojson raises many kinds, with text of the file in them
        reason = type(error).__name__
    raise RequestError(f"{wanted.path} is not valid GeoJSON ({reason}): {needed(wanted.types)}")


def _text(path: Path) -> bytes:
    raw = read_regular(path, _LARGEST_BYTES, follow_links=True)
    if raw[:2] != b"\x1f\x8b":
        return raw
    with gzip.open(io.BytesIO(raw)) as file:
        text = file.read(_LARGEST_BYTES + 1)
    if len(text) > _LARGEST_BYTES:
        raise ValueError
    return text


def _annotations(node: Any, wanted: _Wanted, class_name: str) -> Iterator[Annotation]:
    if isinstance(node, list):
        for item in node:
            yield from _annotations(item, wanted, class_name)
        return
    kind = node.get("type") if isinstance(node, dict) else None
    kind = kind if isinstance(kind, str) else ""
    members = {"FeatureCollection": "features", "GeometryCollection": "geometries"}
    if kind in wanted.types:
        yield Annotation(_geometry(node, wanted), class_name)
    elif kind in members:
        inside = node.get(members[kind])
        yield from _annotations(inside if isinstance(inside, list) else [], wanted, class_name)
    elif kind == "Feature":
        if node.get("geometry"):
            yield from _annotations(node["geometry"], wanted, _class_name(node))
    else:
        found = f"a {kind}" if kind in _KINDS else "something that is not a geometry"
        raise RequestError(f"{wanted.path} contains {found}: {needed(wanted.types)}")


def _geometry(node: Any, wanted: _Wanted) -> BaseGeometry:
    try:
        geometry: BaseGeometry = shapely.force_2d(shapely.geometry.shape(node))
    except Exception as error:  # noqa: BLE001 - shapely raises many kinds, with text of the file in them
        raise RequestError(
            f"{wanted.path} contains a broken {node['type']} ({type(error).__name__}): {needed(wanted.types)}"
        ) from None
    if not (np.abs(shapely.get_coordinates(geometry)) < _LARGEST_PX).all():
        raise RequestError(
            f"{wanted.path} contains a {node['type']} whose coordinates are no pixels of a slide: "
            f"{needed(wanted.types)}"
        )
    return geometry


def _class_name(feature: Any) -> str:
    properties = feature.get("properties")
    classification = properties.get("classification") if isinstance(properties, dict) else None
    name = classification.get("name") if isinstance(classification, dict) else classification
    return name if isinstance(name, str) else ""
