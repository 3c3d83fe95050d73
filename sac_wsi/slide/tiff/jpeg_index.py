"""Find where the JPEG tiles of a TIFF lie, from the tags of its directories only."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_JPEG, _RGB, _YCBCR, _CONTIGUOUS = 7, 2, 6, 1
_MAX_DIRECTORIES = 64
SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_ADOBE = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
"""Application segment 14 without its last byte, which says how the colours are coded."""


@dataclass(frozen=True, slots=True)
class TileIndex:
    """The tiles of one level, row by row.

    offset, count  position and length of each tile in the file, in bytes
    head           bytes to put in front of each tile in place of its start marker (SOI)
    """

    shape_yx: tuple[int, int]
    tile_yx: tuple[int, int]
    offset: NDArray[np.int64]
    count: NDArray[np.int64]
    head: bytes

    @property
    def columns(self) -> int:
        """Number of tiles in a row."""
        return -(-self.shape_yx[1] // self.tile_yx[1])

    @property
    def rows(self) -> int:
        """Number of rows of tiles."""
        return -(-self.shape_yx[0] // self.tile_yx[0])


def index_levels(file: Path, shapes_yx: Sequence[tuple[int, int]]) -> list[TileIndex | None]:
    """Return for each level the tiles of the directory of its size; None if they are not plain JPEG tiles."""
    try:
        with tifffile.TiffFile(file) as tiff:
            found = [_index(page) for page in islice(tiff.pages, _MAX_DIRECTORIES)]
    except (tifffile.TiffFileError, IndexError, ValueError):
        return [None] * len(shapes_yx)
    by_shape: dict[tuple[int, int], list[TileIndex]] = {}
    for index in found:
        if index:
            by_shape.setdefault(index.shape_yx, []).append(index)
    # of two directories of one size it is unknown which one is the level
    return [by_shape[s][0] if len(by_shape.get(s, [])) == 1 else None for s in shapes_yx]


def _index(page: Any) -> TileIndex | None:
    plain = (
        page.is_tiled
        and page.compression == _JPEG
        and page.samplesperpixel == 3
        and page.bitspersample == 8
        and page.planarconfig == _CONTIGUOUS
        and page.photometric in (_RGB, _YCBCR)
    )
    if not plain:
        return None
    index = TileIndex(
        shape_yx=(page.imagelength, page.imagewidth),
        tile_yx=(page.tilelength, page.tilewidth),
        offset=np.asarray(page.dataoffsets, np.int64),
        count=np.asarray(page.databytecounts, np.int64),
        head=_head(page.jpegtables, page.photometric == _YCBCR),
    )
    return index if len(index.offset) == len(index.count) == index.rows * index.columns else None


def _head(tables: bytes | None, ycbcr: bool) -> bytes:
    """Return the start marker (SOI), the segment that says how colours are coded, and the shared tables.

    Without that segment a decoder guesses, and would decode Aperio's RGB tiles as YCbCr.
    """
    body = tables.removeprefix(SOI).removesuffix(_EOI) if tables else b""
    return SOI + _ADOBE + bytes([ycbcr]) + body
