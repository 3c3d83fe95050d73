"""Decode those levels tile by tile whose pixels were found equal to OpenSlide's, bit for bit."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from sac_wsi.slide.tiff.jpeg_index import TileIndex, index_levels
from sac_wsi.slide.tiff.jpeg_tiles import JpegTiles, equals_openslide

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sac_wsi.geometry import Box
    from sac_wsi.slide.protocol import Rgb, SlideInfo

_VENDORS = ("aperio", "generic-tiff")
"""Formats whose tiles do not overlap; those of Ventana and Leica overlap or are shifted."""
_equal: dict[tuple[str, int], bool] = {}
"""Result of the comparison by fingerprint and level, for all threads of this process that open the slide."""


@lru_cache(maxsize=2)
def _indexes(file: Path, fingerprint: str, shapes_yx: tuple[tuple[int, int], ...]) -> list[TileIndex | None]:
    """Return where the tiles lie; cached, because every block opens its slide again."""
    return index_levels(file, shapes_yx)


class RawLevels:
    """The tile decoder of one slide, for the levels where it can be used; the file is opened when needed."""

    def __init__(self, file: Path, info: SlideInfo) -> None:
        self._file, self._info = file, info
        self._tiles: JpegTiles | None = None

    def close(self) -> None:
        """Close the file; a later read opens it again."""
        if self._tiles:
            self._tiles.close()
            self._tiles = None

    def read(self, level: int, inside: Box, read_openslide: Callable[[int, Box], Rgb]) -> Rgb | None:
        """Return the pixels of a box inside the level, or None if OpenSlide has to read them."""
        index = self._index(level)
        if index is None:
            return None
        if self._tiles is None:
            self._tiles = JpegTiles(self._file)
        key = (self._info.fingerprint, level)
        if key not in _equal:
            seed = int(self._info.fingerprint[:8], 16)
            _equal[key] = equals_openslide(self._tiles, index, lambda box: read_openslide(level, box), seed)
        return self._tiles.read(index, inside) if _equal[key] else None

    def _index(self, level: int) -> TileIndex | None:
        info = self._info
        if info.vendor not in _VENDORS or info.origin_yx != (0, 0):
            return None
        if not info.levels[level].downsample.is_integer():
            return None  # OpenSlide interpolates there, so the pixels would differ
        shapes = tuple(each.shape_yx for each in info.levels)
        return _indexes(self._file, info.fingerprint, shapes)[level]
