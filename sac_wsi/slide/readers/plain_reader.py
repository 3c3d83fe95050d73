"""Read plain PNG, JPEG, TIFF and BMP images, which are decoded into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import BmpImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from sac_wsi.errors import SlideError
from sac_wsi.geometry import Box
from sac_wsi.slide.fingerprint import fingerprint
from sac_wsi.slide.protocol import ClosingReader, Level, Rgb, SlideInfo, safe_name
from sac_wsi.slide.readers.composite import on_white
from sac_wsi.slide.resolution.mpp import resolve
from sac_wsi.slide.tiff.chain import chain_damage
from sac_wsi.slide.tiff.depth import bit_depth_message

if TYPE_CHECKING:
    from pathlib import Path

MAX_PIXELS = 2**28
"""16,384 x 16,384: 0.8 GB once decoded."""
_FORMATS: dict[bytes, type[ImageFile.ImageFile]] = {
    b"\x89PNG": PngImagePlugin.PngImageFile,
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
    b"II*\0": TiffImagePlugin.TiffImageFile,
    b"MM\0*": TiffImagePlugin.TiffImageFile,
    b"II+\0": TiffImagePlugin.TiffImageFile,
    b"MM\0+": TiffImagePlugin.TiffImageFile,
    b"BM": BmpImagePlugin.BmpImageFile,
}
"""Formats by first bytes. ``Image.open`` is not used: its limit on pixels is global, ours is per call."""
_COLOUR_MODES = ("RGB", "RGBA", "RGBX", "L", "LA", "P", "PA", "YCbCr")
_TIFF_TAGS = {282: "tiff.XResolution", 283: "tiff.YResolution", 270: "tiff.ImageDescription"}
_RESOLUTION_UNIT, _BITS_PER_SAMPLE = 296, 258
_TIFF_UNITS = {1: "none", 2: "inch", 3: "centimeter"}
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError)
"""Exceptions that Pillow raises for a damaged file."""


class PlainSlide(ClosingReader):
    """An image that is decoded when it is opened, so that a truncated one is refused at once."""

    def __init__(self, path: Path, mpp: float | None) -> None:
        if damage := chain_damage(path):
            raise SlideError(f"{safe_name(path)} is truncated or damaged, {damage}: copy it again.")
        with path.open("rb") as file:
            try:
                image = _plugin(file)(file)
                _refuse_unfit(path, image)
                properties = _properties(image)
                vendor = str(image.format)
                self._rgb = _decode(image)
            except _DAMAGED:
                raise SlideError(
                    f"{safe_name(path)} cannot be decoded, it may be truncated or damaged: copy it again."
                ) from None
        resolution = resolve(properties, vendor, path, mpp)
        height, width = self._rgb.shape[:2]
        self._info = SlideInfo(
            path=path,
            reader="plain",
            vendor=vendor,
            shape_yx=(height, width),
            origin_yx=(0, 0),
            mpp=resolution.mpp,
            mpp_source=resolution.source,
            mpp_looked_in=resolution.looked_in,
            objective=None,
            levels=(Level((height, width), 1.0),),
            tile_yx=(None,),
            fingerprint=fingerprint([path]),
            warnings=(*resolution.warnings, *_warnings_of(image)),
            files=(path,),
        )

    @property
    def info(self) -> SlideInfo:
        """The properties of the image."""
        return self._info

    def __enter__(self) -> PlainSlide:
        return self

    def read_level(self, level: int, box_level: Box) -> Rgb:
        """Return the pixels of a box; white outside the image."""
        shape_yx = self._info.levels[level].shape_yx
        rgb = np.full((*box_level.shape, 3), 255, np.uint8)
        whole = Box.of_shape(shape_yx)
        inside = box_level.intersect(whole)
        if not inside.empty:
            rgb[inside.within(box_level)] = self._rgb[inside.within(whole)]
        return rgb


def is_plain(path: Path) -> bool:
    """Return whether the first bytes of a file are those of a plain format."""
    with path.open("rb") as file:
        return file.read(4).startswith(tuple(_FORMATS))


def _plugin(file: BinaryIO) -> type[ImageFile.ImageFile]:
    head = file.read(4)
    file.seek(0)
    return next(plugin for magic, plugin in _FORMATS.items() if head.startswith(magic))


def _refuse_unfit(path: Path, image: ImageFile.ImageFile) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise SlideError(
            f"{safe_name(path)} has {height} x {width} pixels; a plain image may have {MAX_PIXELS}. "
            f"Convert it: vips tiffsave IN OUT.tiff --tile --pyramid --compression jpeg --bigtiff"
        )
    bits = _bits(image)
    if bits > 8:
        raise SlideError(bit_depth_message(path, bits))
    if image.mode not in _COLOUR_MODES:
        raise SlideError(
            f"{safe_name(path)} has {image.mode} pixels, needed RGB or grey: export it as 8-bit RGB."
        )


def _bits(image: ImageFile.ImageFile) -> int:
    """Return the bits per sample in the file: Pillow converts 16-bit RGB to 8 bits without a warning."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (8,))
        return max(bits) if isinstance(bits, tuple) else int(bits)
    if image.mode.startswith("I;16") or any(";16" in str(tile.args) for tile in image.tile):
        return 16
    return 32 if image.mode in ("I", "F") else 8


def _decode(image: ImageFile.ImageFile) -> Rgb:
    """Return the pixels as stored. An EXIF rotation is not applied: QuPath does not apply it either."""
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        rgba = np.asarray(image.convert("RGBA"))
        rgb = np.empty((*rgba.shape[:2], 3), np.uint8)
        on_white(rgba, rgb)
        return rgb
    return np.array(image.convert("RGB"))


def _properties(image: ImageFile.ImageFile) -> dict[str, str]:
    """Return only those properties that can contain a resolution."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = image.tag_v2
        found = {name: str(tags[tag]) for tag, name in _TIFF_TAGS.items() if tag in tags}
        found["tiff.ResolutionUnit"] = _TIFF_UNITS.get(tags.get(_RESOLUTION_UNIT, 2), "none")
        return found
    name = str(image.format).lower()
    dpi = image.info.get("dpi")
    return {f"{name}.dpi-x": str(dpi[0]), f"{name}.dpi-y": str(dpi[1])} if dpi else {}


def _warnings_of(image: Image.Image) -> list[str]:
    if image.mode in ("L", "LA"):
        return ["a grey image: it may be brightfield or fluorescence, and only brightfield is supported"]
    return []
