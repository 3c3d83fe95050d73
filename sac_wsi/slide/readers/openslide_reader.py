"""Read slides with OpenSlide."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from openslide import OpenSlide, OpenSlideCache, OpenSlideError

from sac_wsi.errors import ReadError, SlideError
from sac_wsi.geometry import Box
from sac_wsi.slide.fingerprint import fingerprint
from sac_wsi.slide.protocol import ClosingReader, Level, Rgb, SlideInfo, safe_name
from sac_wsi.slide.readers.composite import on_white
from sac_wsi.slide.readers.members import dicom_files, mirax_files, vms_files
from sac_wsi.slide.readers.openslide_levels import cropped_levels, file_tiles, scan_box
from sac_wsi.slide.readers.raw_levels import RawLevels
from sac_wsi.slide.resolution.mpp import resolve
from sac_wsi.slide.tiff.depth import refuse_more_than_8_bits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MAX_PIXELS = 4 * 10**11
"""Limit for level 0: four times the largest slide we know of. A file of 62 kB can claim more."""
CACHE_BYTES = 64 << 20
_BLOCK_PX = 256
_WHOLE = 1e-9
_QUOTES = re.compile("[:='\"`\u2018\u2019\u201c\u201d]")


class OpenSlideSlide(ClosingReader):
    """A slide that is read through its own OpenSlide handle."""

    def __init__(self, path: Path, file: Path, vendor: str, mpp: float | None) -> None:
        """Open ``file`` with OpenSlide; ``path`` is what the user typed, which may be its folder."""
        self._file = file
        self._name = safe_name(path)
        self._handle: OpenSlide | None = self._open()
        try:
            self._info = _describe(path, file, vendor, self._handle, mpp)
        except SlideError:
            self._drop_handle()
            raise
        self._raw = RawLevels(file, self._info)

    @property
    def info(self) -> SlideInfo:
        """The properties of the slide."""
        return self._info

    def __enter__(self) -> OpenSlideSlide:
        return self

    def close(self) -> None:
        """Close the file; a later read opens it again."""
        self._drop_handle()
        self._raw.close()

    def read_level(self, level: int, box_level: Box) -> Rgb:
        """Return the pixels of a box, given in pixels of that level; raise ReadError if they are damaged."""
        of_level = self._info.levels[level]
        rgb = np.full((*box_level.shape, 3), 255, np.uint8)
        inside = box_level.intersect(Box.of_shape(of_level.shape_yx))
        if inside.empty:
            return rgb
        raw = self._raw.read(level, inside, self._read_with_retry)
        if raw is not None:
            rgb[inside.within(box_level)] = raw
            return rgb
        for block in _pieces(inside, of_level):
            part = block.intersect(inside)
            pixels = self._read_with_retry(level, block)
            rgb[part.within(box_level)] = pixels[part.within(block)]
        return rgb

    def _read_with_retry(self, level: int, box: Box) -> Rgb:
        """Read; after an error open the file again, without which OpenSlide refuses every call, and retry."""
        try:
            return self._read(level, box)
        except OpenSlideError:
            self._drop_handle()
        try:
            return self._read(level, box)
        except (OpenSlideError, SlideError) as error:
            self._drop_handle()
            raise ReadError(f"{_unreadable(self._name, level, box)}: {reason(error)}") from None

    def _read(self, level: int, box: Box) -> Rgb:
        if self._handle is None:
            self._handle = self._open()
        downsample = self._info.levels[level].downsample
        origin_y, origin_x = self._info.origin_yx
        corner_xy = (origin_x + round(box.x0 * downsample), origin_y + round(box.y0 * downsample))
        rgba = np.asarray(self._handle.read_region(corner_xy, level, (box.width, box.height)))
        rgb = np.empty((*box.shape, 3), np.uint8)
        on_white(rgba, rgb)
        return rgb

    def _drop_handle(self) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def _open(self) -> OpenSlide:
        try:
            handle = OpenSlide(self._file)
        except OpenSlideError as error:
            raise SlideError(
                f"{self._name} cannot be opened, it may be truncated or damaged ({reason(error)}): "
                "copy it again."
            ) from None
        handle.set_cache(OpenSlideCache(CACHE_BYTES))
        return handle


def reason(error: Exception) -> str:
    """Return OpenSlide's message up to the first colon or quotation mark: then it can quote the file.

    >>> reason(ValueError("Key file contains line \u201cJane Doe\u201d which is not a group"))
    'Key file contains line'
    """
    return _QUOTES.split(str(error), maxsplit=1)[0].strip()[:120]


def _unreadable(name: str, level: int, box: Box) -> str:
    return f"{name}: level {level}, y {box.y0}..{box.y1}, x {box.x0}..{box.x1} could not be read"


def _pieces(inside: Box, level: Level) -> Iterator[Box]:
    """Yield the boxes to read that together cover a box.

    Where the downsample is not a whole number, OpenSlide interpolates depending on the corner of the read (31
    grey values on its own test slide). There the reads are fixed blocks, so that a pixel never depends on the
    box that was requested.
    """
    if abs(level.downsample - round(level.downsample)) < _WHOLE:
        yield inside
        return
    whole = Box.of_shape(level.shape_yx)
    for y in range(inside.y0 // _BLOCK_PX * _BLOCK_PX, inside.y1, _BLOCK_PX):
        for x in range(inside.x0 // _BLOCK_PX * _BLOCK_PX, inside.x1, _BLOCK_PX):
            yield Box(y, x, y + _BLOCK_PX, x + _BLOCK_PX).intersect(whole)


def _describe(path: Path, file: Path, vendor: str, handle: OpenSlide, mpp: float | None) -> SlideInfo:
    properties: Mapping[str, str] = handle.properties
    if handle.level_count < 1 or min(min(size) for size in handle.level_dimensions) < 1:
        raise SlideError(f"{safe_name(path)} has a level of size 0: it is damaged, export it again.")
    scan = scan_box(properties, handle.dimensions)
    if scan.area > MAX_PIXELS:
        raise SlideError(
            f"{safe_name(path)} claims {scan.height} x {scan.width} pixels, the limit is {MAX_PIXELS:.0e}: "
            "it is damaged, or too large: export it in parts."
        )
    refuse_more_than_8_bits(path, file, vendor)
    _refuse_missing_base(path, properties)
    resolution = resolve(properties, vendor, path, mpp)
    files = _files(file, vendor, properties)
    return SlideInfo(
        path=path,
        reader="openslide",
        vendor=vendor,
        shape_yx=scan.shape,
        origin_yx=(scan.y0, scan.x0),
        mpp=resolution.mpp,
        mpp_source=resolution.source,
        mpp_looked_in=resolution.looked_in,
        objective=resolution.objective,
        levels=cropped_levels(scan, handle.level_dimensions, handle.level_downsamples),
        tile_yx=file_tiles(properties, handle.level_count),
        fingerprint=fingerprint(files),
        warnings=resolution.warnings,
        files=tuple(files),
    )


def _files(file: Path, vendor: str, properties: Mapping[str, str]) -> list[Path]:
    if vendor == "mirax":
        return mirax_files(file)
    if vendor == "dicom":
        return dicom_files(file, properties["dicom.SeriesInstanceUID"])
    if vendor.startswith("hamamatsu") and file.suffix.lower() in (".vms", ".vmu"):
        return vms_files(file)
    return [file]


def _refuse_missing_base(path: Path, properties: Mapping[str, str]) -> None:
    """Raise SlideError if the full-resolution instance is missing: OpenSlide would use the next level."""
    if properties.get("dicom.ImageType[3]") == "RESAMPLED":
        raise SlideError(
            f"{safe_name(path)}: the full-resolution instance of this DICOM series is missing: "
            "copy all .dcm files of the series into one folder."
        )
