"""Read every property that may state the size of a pixel.

Only numbers leave this module: descriptions can contain a patient's name.
"""

from __future__ import annotations

import html
import re
from contextlib import suppress
from dataclasses import dataclass
from math import inf, isnan, nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UM_PER_INCH = 25_400.0
_UM_PER_UNIT = {"inch": UM_PER_INCH, "centimeter": 1e4}
_OME_UM = {"nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
_OME_UM |= dict.fromkeys(("µm", "μm", "um", "micron", "microns", "micrometer", "micrometre"), 1.0)
_NUMBER = re.compile(r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_OME_PIXELS = re.compile(r"<(?:\w{1,20}:)?Pixels\s([^<>]{0,10000})>")
_IMAGEJ_MICRON = re.compile(r"^unit=(?:micron|microns|um|µm|\\u00B5m)\s*$", re.MULTILINE)
_DICOM_SPACING = "dicom.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing"
_PAIRS = (
    ("openslide.mpp-x", "openslide.mpp-y", 1.0),
    ("aperio.MPP", "aperio.MPP", 1.0),
    ("hamamatsu.MPP-X", "hamamatsu.MPP-Y", 1.0),
    (
        "mirax.LAYER_0_LEVEL_0_SECTION.MICROMETER_PER_PIXEL_X",
        "mirax.LAYER_0_LEVEL_0_SECTION.MICROMETER_PER_PIXEL_Y",
        1.0,
    ),
    ("ventana.ScanRes", "ventana.ScanRes", 1.0),
    (f"{_DICOM_SPACING}[1]", f"{_DICOM_SPACING}[0]", 1e3),
    ("tiatoolbox.mpp-x", "tiatoolbox.mpp-y", 1.0),
)
"""Name of x, name of y, micrometres per unit; the most trusted first."""
_READER_PREFIXES = ("openslide", "tiatoolbox")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A resolution that a file states, in µm per pixel; ``nan`` if the text is not a number."""

    source: str
    x_um: float
    y_um: float


def number(text: str | None) -> float:
    """Return the number in a property, with decimal point or decimal comma; nan for anything else.

    >>> number("0,25"), number("40"), number("about 3")
    (0.25, 40.0, nan)
    """
    text = (text or "").strip()
    # not every text that Python or C take as a number: 0x1, 1_0, inf
    return float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else nan


def candidates(properties: Mapping[str, str]) -> Iterator[Candidate]:
    """Yield the resolutions in the properties, the most trusted first."""
    raw = [properties[name] for name, _, _ in _PAIRS[1:] if name in properties]
    misread = any(isnan(number(text)) for text in raw)  # by OpenSlide, which takes 0x1 for 1
    for name_x, name_y, um in _PAIRS:
        if name_x in properties and not (misread and name_x.startswith("openslide.")):
            x_um = number(properties[name_x]) * um
            yield Candidate(name_x, x_um, number(properties.get(name_y, properties[name_x])) * um)
    yield from _philips(properties)
    yield from _tiff(properties)
    yield from _ome(properties)
    yield from _dpi(properties)


def searched_names(properties: Mapping[str, str], vendor: str) -> tuple[str, ...]:
    """Return the properties that are read for a file of this vendor, for the message that none was found."""
    reader = {name.partition(".")[0] for name in properties} & set(_READER_PREFIXES)
    named = [x for x, _, _ in _PAIRS if x.partition(".")[0] in (*reader, vendor.partition("-")[0])]
    philips = ["philips.DICOM_PIXEL_SPACING"] if vendor.startswith("philips") else []
    tiff = ["tiff.XResolution", "OME PhysicalSizeX"] if any(n.startswith("tiff.") for n in properties) else []
    dpi = [name for name in properties if name.endswith(".dpi-x")]
    return (*named, *philips, *tiff, *dpi)


def _philips(properties: Mapping[str, str]) -> Iterator[Candidate]:
    """Read row and column spacing in mm, each in quotation marks."""
    words = properties.get("philips.DICOM_PIXEL_SPACING", "").replace('"', " ").split()
    if words:
        yield Candidate("philips.DICOM_PIXEL_SPACING", number(words[-1]) * 1e3, number(words[0]) * 1e3)


def _tiff(properties: Mapping[str, str]) -> Iterator[Candidate]:
    if "tiff.XResolution" not in properties:
        return
    x = number(properties["tiff.XResolution"])
    y = number(properties.get("tiff.YResolution", properties["tiff.XResolution"]))
    if um := _UM_PER_UNIT.get(properties.get("tiff.ResolutionUnit", "inch")):
        yield Candidate("tiff.XResolution", _per(um, x), _per(um, y))
    elif _IMAGEJ_MICRON.search(properties.get("tiff.ImageDescription", "")):
        yield Candidate("tiff.XResolution (ImageJ unit=micron)", _per(1.0, x), _per(1.0, y))


def _ome(properties: Mapping[str, str]) -> Iterator[Candidate]:
    """Read OME-XML by a pattern instead of a parser, so that nothing in it can be expanded or downloaded."""
    found = _OME_PIXELS.search(properties.get("tiff.ImageDescription", ""))
    if not found:
        return
    attributes = dict(re.findall(r"""(\w{1,40})\s*=\s*["']([^"']{0,60})["']""", found[1]))
    if "PhysicalSizeX" in attributes:
        x, y = (
            number(attributes.get(name, attributes["PhysicalSizeX"]))
            * _OME_UM.get(_plain_unit(attributes.get(f"{name}Unit", "µm")), nan)
            for name in ("PhysicalSizeX", "PhysicalSizeY")
        )
        yield Candidate("OME PhysicalSizeX", x, y)


def _plain_unit(unit: str) -> str:
    """Return a unit in lower case, also where its UTF-8 was read as Latin-1 or its sign was escaped."""
    unit = html.unescape(unit).strip()
    with suppress(UnicodeError):
        unit = unit.encode("latin-1").decode("utf-8")
    return unit.lower()


def _dpi(properties: Mapping[str, str]) -> Iterator[Candidate]:
    for name in properties:
        if name.endswith(".dpi-x"):
            y = properties.get(f"{name[:-1]}y", properties[name])
            yield Candidate(name, _per(UM_PER_INCH, number(properties[name])), _per(UM_PER_INCH, number(y)))


def _per(um: float, count: float) -> float:
    return um / count if count else inf
