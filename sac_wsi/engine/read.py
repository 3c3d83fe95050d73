"""Read the pixels of a block: row of tiles by row of tiles, the next one while this one is used.

Of each row only the tiles with tissue are read; neighbouring tiles come in one read of the slide.
"""

from __future__ import annotations

import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from sac_wsi.engine.blocks import TileFailure
from sac_wsi.errors import InputChanged, ReadError
from sac_wsi.geometry import Box
from sac_wsi.slide.frame import Frame, read_frame
from sac_wsi.slide.open import open_slide
from sac_wsi.tiling.grid import Tile
from sac_wsi.tiling.segmenter import RgbTile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sac_wsi.engine.clock import Clock
    from sac_wsi.slide.protocol import Slide

T = TypeVar("T")
Item = TypeVar("Item")


@dataclass(frozen=True)
class SlideSource:
    """Where the slide is, and how to see that it is still the same: two slides are never mixed in one run.

    Attributes:
        path: The slide's file or folder.
        mpp_override: Micrometres per level-0 pixel that the user gave; None for the slide's own.
        fingerprint: That of the slide when the run was planned.
    """

    path: Path
    mpp_override: float | None
    fingerprint: str

    def open(self) -> Slide:
        """Open the slide.

        Raises:
            InputChanged: Another slide lies there now.
        """
        slide = open_slide(self.path, mpp=self.mpp_override)
        if slide.info.fingerprint != self.fingerprint:
            slide.close()
            raise InputChanged(
                f"{self.path} was replaced while it was segmented. Pass --overwrite to start over."
            )
        return slide

    def check(self) -> None:
        """Raise InputChanged if another slide lies there now."""
        self.open().close()


@dataclass(frozen=True)
class TilePixels:
    """A tile and its pixels."""

    tile: Tile
    rgb: RgbTile

    @property
    def crc(self) -> int:
        """CRC-32 of the pixels, by which it is noticed that the slide has changed."""
        return zlib.crc32(np.ascontiguousarray(self.rgb.rgb).data)


TileRow = list[TilePixels | TileFailure]
"""The tiles of one row that hold tissue, those that could not be read as failures."""


def read_rows(slide: Slide, frame: Frame, rows: Iterable[Sequence[Tile]], clock: Clock) -> Iterator[TileRow]:
    """Yield the pixels of each row of tiles; memory holds two rows."""

    def read(tiles: Sequence[Tile]) -> TileRow:
        with clock.measure("read"):
            return _read_row(slide, frame, tiles)

    return read_ahead(read, rows)


def _read_row(slide: Slide, frame: Frame, tiles: Sequence[Tile]) -> TileRow:
    row: TileRow = []
    for run in _neighbouring(tiles):
        box = Box(run[0].read.y0, run[0].read.x0, run[-1].read.y1, run[-1].read.x1)
        try:
            strip = read_frame(slide, frame, box)
        except ReadError:
            row += [_read_tile(slide, frame, tile) for tile in run]
        else:
            row += [TilePixels(tile, RgbTile(strip[tile.read.within(box)], tile.read)) for tile in run]
    return row


def _read_tile(slide: Slide, frame: Frame, tile: Tile) -> TilePixels | TileFailure:
    try:
        return TilePixels(tile, RgbTile(read_frame(slide, frame, tile.read), tile.read))
    except ReadError as error:
        return TileFailure(tile.index, str(error))


def _neighbouring(tiles: Sequence[Tile]) -> list[list[Tile]]:
    """Return the tiles of one row in runs without a gap."""
    runs: list[list[Tile]] = []
    for tile in tiles:
        if runs and runs[-1][-1].index + 1 == tile.index:
            runs[-1].append(tile)
        else:
            runs.append([tile])
    return runs


def batches(rows: Iterable[TileRow], size: int, failures: list[TileFailure]) -> Iterator[list[TilePixels]]:
    """Yield the tiles that could be read, ``size`` at a time; append the others to ``failures``."""
    batch: list[TilePixels] = []
    for row in rows:
        for tile in row:
            if isinstance(tile, TileFailure):
                failures.append(tile)
                continue
            batch.append(tile)
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch


def read_ahead(read: Callable[[Item], T], items: Iterable[Item]) -> Iterator[T]:
    """Yield ``read(item)`` for each item; a thread reads the next item while this one is used."""
    with ThreadPoolExecutor(1, "read") as pool:
        coming: deque[Future[T]] = deque()
        for item in items:
            coming.append(pool.submit(read, item))
            if len(coming) > 1:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
