"""Read polygons of an Aperio ImageScope annotation. Document types and entities are refused as unsafe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from sac_wsi.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

_DRAWN = ("0", "1")
"""Region types freehand and rectangle: their vertices are an outline."""
_MAX_BYTES = 2**28


@dataclass(frozen=True)
class Annotation:
    """``polygons_xy`` in the order of the file, each (n, 2) as written; ``mpp`` None if not given."""

    polygons_xy: tuple[NDArray[np.float64], ...]
    mpp: float | None


def read_annotation(path: Path) -> Annotation:
    """Return the polygons and the resolution of an annotation file."""
    data = _read(path)
    reading = _Reading(path)
    _parse(reading, data, path)
    return Annotation(tuple(np.array(each, float).reshape(-1, 2) for each in reading.polygons), reading.mpp)


def annotation_mpp(path: Path) -> float | None:
    """Return the resolution from the first kilobytes; None if it is missing or cannot be read."""
    reading = _Reading(path)
    try:
        with path.open("rb") as file:
            _parser(reading).Parse(file.read(4096), False)
    except (OSError, expat.ExpatError, DataError):
        return None
    return reading.mpp


class _Reading:
    """The content that expat has read so far."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.root = ""
        self.mpp: float | None = None
        self.polygons: list[list[tuple[float, float]]] = []
        self._open: list[tuple[float, float]] | None = None

    def refuse(self, *_: object) -> None:
        """Raise DataError for a document type or an entity."""
        raise DataError(
            f"{self._path} declares a document type or an entity, which annotations never need. "
            "Export it again from ImageScope."
        )

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        if not self.root:
            self.root = tag
            self.mpp = _resolution(attributes.get("MicronsPerPixel", ""))
        elif tag == "Region":
            drawn = attributes.get("Type", "0") in _DRAWN and attributes.get("NegativeROA", "0") != "1"
            self._open = [] if drawn else None
            if self._open is not None:
                self.polygons.append(self._open)
        elif tag == "Vertex" and self._open is not None:
            self._open.append((self._number(attributes, "X"), self._number(attributes, "Y")))

    def end(self, tag: str) -> None:
        """Handle the end of an element."""
        if tag == "Region":
            self._open = None

    def _number(self, attributes: dict[str, str], axis: str) -> float:
        text = attributes.get(axis, "")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not abs(value) < 1e9:
            raise DataError(
                f"{self._path}: a vertex of region {len(self.polygons)} has {axis}={text[:20]!r}. Needed a "
                "number: export it again from ImageScope."
            )
        return value


def _parse(reading: _Reading, data: bytes, path: Path) -> None:
    try:
        _parser(reading).Parse(data, True)
    except expat.ExpatError as error:
        raise DataError(f"{path} is broken XML ({error}): copy or export it again.") from None
    if reading.root != "Annotations":
        raise DataError(f"{path} holds <{reading.root[:40]}>. Needed Aperio's <Annotations>.")


def _parser(reading: _Reading) -> expat.XMLParserType:
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = reading.refuse
    parser.EntityDeclHandler = reading.refuse
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    return parser


def _resolution(text: str) -> float | None:
    try:
        mpp = float(text)
    except ValueError:
        return None
    return mpp if 0.01 < mpp < 10 else None


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path} has {path.stat().st_size:,} bytes; needed at most {_MAX_BYTES:,}.")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from None
