"""Read formats that only TIAToolbox opens (JP2, NGFF, some OME-TIFF); imported late, as that is slow."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from sac_wsi.errors import ReadError, SlideError
from sac_wsi.geometry import Box
from sac_wsi.slide.fingerprint import fingerprint
from sac_wsi.slide.protocol import ClosingReader, Level, Rgb, SlideInfo, safe_name
from sac_wsi.slide.resolution.mpp import resolve

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".jp2", ".j2k", ".zarr", ".qptiff")
_REFUSALS = (OSError, ValueError, TypeError, KeyError, RuntimeError, struct.error)
"""Exceptions that its readers raise for an unreadable file, besides ``FileNotSupportedError``."""
_MAX_HASHED = 64


class TiaToolboxSlide(ClosingReader):
    """A slide that is read through TIAToolbox's ``WSIReader``."""

    def __init__(self, path: Path, mpp: float | None) -> None:
        self._reader = _open(path)
        self._info = _describe(path, self._reader, mpp)

    @property
    def info(self) -> SlideInfo:
        """The properties of the slide."""
        return self._info

    def __enter__(self) -> TiaToolboxSlide:
        return self

    def read_level(self, level: int, box_level: Box) -> Rgb:
        """Return the pixels of a box, given in pixels of that level; raise ReadError if they are damaged."""
        rgb = np.full((*box_level.shape, 3), 255, np.uint8)
        inside = box_level.intersect(Box.of_shape(self._info.levels[level].shape_yx))
        if inside.empty:
            return rgb
        try:
            pixels = self._reader.read_bounds(
                (inside.x0, inside.y0, inside.x1, inside.y1),
                resolution=level,
                units="level",
                coord_space="resolution",
                pad_constant_values=255,
            )
        except _REFUSALS:
            raise ReadError(
                f"{safe_name(self._info.path)}: level {level}, y {inside.y0}..{inside.y1}, "
                f"x {inside.x0}..{inside.x1} could not be read by TIAToolbox"
            ) from None
        rgb[inside.within(box_level)] = np.asarray(pixels)[: inside.height, : inside.width, :3]
        return rgb


def _open(path: Path) -> Any:
    try:
        from tiatoolbox.wsicore.wsireader import WSIReader
    except ImportError:
        raise SlideError(
            f"{safe_name(path)} is not in a format that OpenSlide or Pillow opens; TIAToolbox may open it: "
            'pip install "sac-wsi[tiatoolbox]"'
        ) from None
    from tiatoolbox.utils.exceptions import FileNotSupportedError

    try:
        return WSIReader.open(path)
    except (*_REFUSALS, FileNotSupportedError):
        raise SlideError(
            f"{safe_name(path)} is not a slide that OpenSlide, Pillow or TIAToolbox can open: "
            "export it as SVS, OME-TIFF or DICOM. (JP2 needs the library OpenJPEG 2.4: libopenjp2-7.)"
        ) from None


def _describe(path: Path, reader: Any, mpp: float | None) -> SlideInfo:
    meta = reader.info
    properties = {}
    if meta.mpp is not None:
        properties = {"tiatoolbox.mpp-x": str(meta.mpp[0]), "tiatoolbox.mpp-y": str(meta.mpp[1])}
    if meta.objective_power is not None:
        properties["tiatoolbox.objective-power"] = str(meta.objective_power)
    resolution = resolve(properties, "tiatoolbox", path, mpp)
    sizes = [(int(height), int(width)) for width, height in meta.level_dimensions]
    if not sizes or min(min(size) for size in sizes) < 1:
        raise SlideError(f"{safe_name(path)} has a level of size 0: it is damaged, export it again.")
    levels = [Level(size, float(ds)) for size, ds in zip(sizes, meta.level_downsamples, strict=True)]
    files = _files(path)
    return SlideInfo(
        path=path,
        reader="tiatoolbox",
        vendor=type(reader).__name__,
        shape_yx=sizes[0],
        origin_yx=(0, 0),
        mpp=resolution.mpp,
        mpp_source=resolution.source,
        mpp_looked_in=resolution.looked_in,
        objective=resolution.objective,
        levels=tuple(levels),
        tile_yx=(None,) * len(levels),
        fingerprint=fingerprint(files),
        warnings=resolution.warnings,
        files=tuple(files),
    )


def _files(path: Path) -> list[Path]:
    """Return the file itself; for a folder its metadata and 64 files, as it can have millions."""
    if path.is_file():
        return [path]
    files = sorted(p for p in path.rglob("*") if p.is_file())
    metadata = [p for p in files if p.name.startswith(".z") or p.name == "zarr.json"]
    chosen = {files[i * len(files) // _MAX_HASHED] for i in range(_MAX_HASHED)} if files else set()
    return sorted(chosen.union(metadata))
