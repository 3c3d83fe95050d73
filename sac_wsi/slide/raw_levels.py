"""Which levels of a slide are decoded tile by tile: those found equal to OpenSlide, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sac_wsi.geometry import Box
from sac_wsi.slide.jpeg_index import TileIndex, index_levels
from sac_wsi.slide.jpeg_tiles import JpegTiles, agrees
from sac_wsi.slide.protocol import Rgb, SlideInfo

_VENDORS = ("aperio", "generic-tiff")
"""Their tiles do not overlap; Ventana's and Leica's do or are moved."""
_agreed: dict[tuple[str, int], bool] = {}
"""By content and level, for the life of the process: each thread opens the slide, one need compare."""


class RawLevels:
    """The fast way to the pixels of one slide, where there is one."""

    def __init__(self, file: Path, info: SlideInfo) -> None:
        self._fingerprint = info.fingerprint
        self._tiles: JpegTiles | None = None
        self._indexes: list[TileIndex | None] = [None] * len(info.levels)
        if info.vendor in _VENDORS and info.origin_yx == (0, 0):
            indexes = index_levels(file, [level.shape_yx for level in info.levels])
            # at other downsamples OpenSlide interpolates, so it would differ
            self._indexes = [
                index if level.downsample.is_integer() else None
                for index, level in zip(indexes, info.levels, strict=True)
            ]
        if any(self._indexes):
            self._tiles = JpegTiles(file)

    def close(self) -> None:
        if self._tiles:
            self._tiles.close()

    def read(self, level: int, inside: Box, read_slowly: Callable[[int, Box], Rgb]) -> Rgb | None:
        """Pixels of a box within the level, or None where OpenSlide has to be asked."""
        index = self._indexes[level]
        if index is None or self._tiles is None:
            return None
        key = (self._fingerprint, level)
        if key not in _agreed:
            seed = int(self._fingerprint[:8], 16)
            _agreed[key] = agrees(self._tiles, index, lambda box: read_slowly(level, box), seed)
        return self._tiles.read(index, inside) if _agreed[key] else None
