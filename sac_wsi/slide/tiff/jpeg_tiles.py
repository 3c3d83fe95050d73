"""Decode JPEG tiles without OpenSlide, which spends most of its time on compositing.

It is used only after its pixels were found equal to OpenSlide's, bit for bit; what it cannot decode is left
to OpenSlide. Warnings of libjpeg count as errors, as in OpenSlide: Pillow hides them, and so damaged tiles.
"""

from __future__ import annotations

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
"""Enough for one row of a block's tiles: the next row of reads needs its last pixels."""
_MAX_TILE_BYTES = 1 << 24
_MAX_TILE_PIXELS = 1 << 22
_COMPARED_TILES = 16
_COLOURS = ("RGB", "YCbCr")


class JpegTiles:
    """The JPEG tiles of one open file; the last ones decoded are kept in memory."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("rb", buffering=0)
        self._decoded: OrderedDict[tuple[int, int], Rgb] = OrderedDict()
        self._decoded_bytes = 0

    def close(self) -> None:
        """Close the file and forget the decoded tiles."""
        self._file.close()
        self._decoded.clear()
        self._decoded_bytes = 0

    def read(self, index: TileIndex, box: Box) -> Rgb | None:
        """Return the pixels of a box inside the level; None if one of its tiles cannot be decoded."""
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
        if not 4 <= count <= _MAX_TILE_BYTES:
            return None
        try:
            self._file.seek(int(index.offset[number]))
            data = self._file.read(count)
            if len(data) != count or not data.startswith(SOI):
                return None
            jpeg = index.head + data[len(SOI) :]
            # before decoding: the bytes of a small tile can be a JPEG of any size
            height, width, colours, _ = simplejpeg.decode_jpeg_header(jpeg)
            if (height, width) != index.tile_yx or colours not in _COLOURS:
                return None
            rgb: Rgb = simplejpeg.decode_jpeg(jpeg, "RGB", strict=True)
        except (OSError, ValueError):
            return None
        return rgb


def tiles_under(index: TileIndex, box: Box) -> Iterator[tuple[int, Box]]:
    """Yield number and box of each tile that overlaps a box."""
    height, width = index.tile_yx
    for row in range(box.y0 // height, -(-box.y1 // height)):
        for column in range(box.x0 // width, -(-box.x1 // width)):
            y, x = row * height, column * width
            yield row * index.columns + column, Box(y, x, y + height, x + width)


def equals_openslide(tiles: JpegTiles, index: TileIndex, read: Callable[[Box], Rgb], seed: int) -> bool:
    """Return whether 16 random tiles and those at the edges equal the pixels of ``read``, bit for bit.

    Tiles that cannot be decoded here are ignored: ``read`` reads them in any case.
    """
    if index.tile_yx[0] * index.tile_yx[1] > _MAX_TILE_PIXELS:
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
    """Return the numbers of the corner tiles, of two tiles at the cut edges and of 16 random ones."""
    bottom, right = index.rows - 1, index.columns - 1
    edges = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom, right // 2), (bottom // 2, right)]
    anywhere = np.random.default_rng(seed).integers(index.rows * index.columns, size=_COMPARED_TILES)
    return sorted({row * index.columns + column for row, column in edges} | set(anywhere.tolist()))
