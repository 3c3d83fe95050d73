"""Decode JPEG tiles without OpenSlide, which spends most of its time on compositing.

Used only after it was found equal to OpenSlide bit for bit; whatever it cannot do it leaves to OpenSlide.
libjpeg's warnings count as errors, as OpenSlide has it: Pillow hides them, and with them damage in a tile.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg

from sac_wsi.errors import ReadError
from sac_wsi.geometry import Box
from sac_wsi.slide.tiff.jpeg_index import SOI, TileIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sac_wsi.slide.protocol import Rgb

CACHE_BYTES = 32 << 20
"""A strip of a block's tiles, of which the next strip needs the last rows."""
_MOST_TILE_BYTES = 1 << 24
_MOST_TILE_PIXELS = 1 << 22
_CHECKED_TILES = 16
_COLOURS = ("RGB", "YCbCr")


class JpegTiles:
    """The raw tiles of one file, through one descriptor, the latest of them kept decoded."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("rb", buffering=0)
        self._decoded: OrderedDict[tuple[int, int], Rgb] = OrderedDict()
        self._decoded_bytes = 0

    def close(self) -> None:
        self._file.close()
        self._decoded.clear()
        self._decoded_bytes = 0

    def read(self, index: TileIndex, box: Box) -> Rgb | None:
        """Pixels of a box that lies within the level; None if one of its tiles is not as it should be."""
        rgb = np.empty((*box.shape, 3), np.uint8)
        for number, place in tiles_under(index, box):
            tile = self._tile(index, number)
            if tile is None:
                return None
            part = place.intersect(box)
            rgb[part.within(box)] = tile[part.within(place)]
        return rgb

    def _tile(self, index: TileIndex, number: int) -> Rgb | None:
        key = (id(index), number)
        if key in self._decoded:
            self._decoded.move_to_end(key)
            return self._decoded[key]
        tile = self._decode(index, number)
        if tile is not None:
            self._decoded[key] = tile
            self._decoded_bytes += tile.nbytes
            while self._decoded_bytes > CACHE_BYTES:
                self._decoded_bytes -= self._decoded.popitem(last=False)[1].nbytes
        return tile

    def _decode(self, index: TileIndex, number: int) -> Rgb | None:
        count = int(index.count[number])
        if not 4 <= count <= _MOST_TILE_BYTES:
            return None
        try:
            data = os.pread(self._file.fileno(), count, int(index.offset[number]))
            if len(data) != count or not data.startswith(SOI):
                return None
            jpeg = index.head + data[len(SOI) :]
            # before it is decoded: a small tile can hold a JPEG of any size
            height, width, colours, _ = simplejpeg.decode_jpeg_header(jpeg)
            if (height, width) != index.tile_yx or colours not in _COLOURS:
                return None
            rgb: Rgb = simplejpeg.decode_jpeg(jpeg, "RGB", strict=True)
        except (OSError, ValueError):
            return None
        return rgb


def tiles_under(index: TileIndex, box: Box) -> Iterator[tuple[int, Box]]:
    """Number and place of each tile that a box meets."""
    height, width = index.tile_yx
    for row in range(box.y0 // height, -(-box.y1 // height)):
        for column in range(box.x0 // width, -(-box.x1 // width)):
            y, x = row * height, column * width
            yield row * index.columns + column, Box(y, x, y + height, x + width)


def agrees(tiles: JpegTiles, index: TileIndex, read: Callable[[Box], Rgb], seed: int) -> bool:
    """Whether sixteen random tiles and those at the edges equal, bit for bit, what ``read`` gives.

    Tiles that cannot be decoded here say nothing: they are left to ``read`` in any case.
    """
    if index.tile_yx[0] * index.tile_yx[1] > _MOST_TILE_PIXELS:
        return False
    compared = 0
    for number in _to_compare(index, seed):
        row, column = divmod(number, index.columns)
        y, x = row * index.tile_yx[0], column * index.tile_yx[1]
        box = Box(y, x, y + index.tile_yx[0], x + index.tile_yx[1]).intersect(Box.of_shape(index.shape_yx))
        raw = tiles.read(index, box)
        if raw is None:
            continue
        try:
            if not np.array_equal(raw, read(box)):
                return False
        except ReadError:
            return False
        compared += 1
    return compared > 0


def _to_compare(index: TileIndex, seed: int) -> list[int]:
    """Numbers of the corner tiles, of two at the cut edges and of sixteen anywhere."""
    bottom, right = index.rows - 1, index.columns - 1
    edges = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom, right // 2), (bottom // 2, right)]
    anywhere = np.random.default_rng(seed).integers(index.rows * index.columns, size=_CHECKED_TILES)
    return sorted({row * index.columns + column for row, column in edges} | set(anywhere.tolist()))
