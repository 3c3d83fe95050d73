"""Which levels of a slide are decoded tile by tile: those found equal to OpenSlide, bit for bit."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from sac_wsi.slide.tiff.jpeg_index import TileIndex, index_levels
from sac_wsi.slide.tiff.jpeg_tiles import JpegTiles, agrees

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sac_wsi.geometry import Box
    from sac_wsi.slide.protocol import Rgb, SlideInfo

_VENDORS = ("aperio", "generic-tiff")
"""Their tiles do not overlap; Ventana's and Leica's do or are moved."""
_agreed: dict[tuple[str, int], bool] = {}
"""By content and level, for the life of the process: each thread opens the slide, one need compare."""


@lru_cache(maxsize=2)
def _indexes(file: Path, fingerprint: str, shapes_yx: tuple[tuple[int, int], ...]) -> list[TileIndex | None]:
    """Every block opens its slide anew; where the tiles lie is read once."""
    return index_levels(file, shapes_yx)


class RawLevels:
    """The fast way to the pixels of one slide, where there is one. Nothing is read before it is needed."""

    def __init__(self, file: Path, info: SlideInfo) -> None:
        self._file, self._info = file, info
        self._tiles: JpegTiles | None = None

    def close(self) -> None:
        if self._tiles:
            self._tiles.close()
            self._tiles = None

    def read(self, level: int, inside: Box, read_slowly: Callable[[int, Box], Rgb]) -> Rgb | None:
        """Pixels of a box within the level, or None where OpenSlide has to be asked."""
        index = self._index(level)
        if index is None:
            return None
        if self._tiles is None:
            self._tiles = JpegTiles(self._file)
        key = (self._info.fingerprint, level)
        if key not in _agreed:
            seed = int(self._info.fingerprint[:8], 16)
            _agreed[key] = agrees(self._tiles, index, lambda box: read_slowly(level, box), seed)
        return self._tiles.read(index, inside) if _agreed[key] else None

    def _index(self, level: int) -> TileIndex | None:
        info = self._info
        if info.vendor not in _VENDORS or info.origin_yx != (0, 0):
            return None
        if not info.levels[level].downsample.is_integer():
            return None  # OpenSlide interpolates there, so it would differ
        shapes = tuple(each.shape_yx for each in info.levels)
        return _indexes(self._file, info.fingerprint, shapes)[level]
