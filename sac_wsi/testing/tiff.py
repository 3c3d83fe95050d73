"""Write a rendered picture as a pyramidal TIFF of JPEG tiles; each pixel is rendered once."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray
from PIL import Image

from sac_wsi.geometry import Box
from sac_wsi.testing.tiff_file import PyramidFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Rgb: TypeAlias = NDArray[np.uint8]

_STEP = 4
"""Each level is a quarter of the one before, as in files of scanners."""

_LAST_LEVEL_PX = 2048
_STRIP_TILES = 8
_BIGTIFF_ABOVE_PX = 2**31
"""A JPEG needs at most about a byte per pixel, and a classic TIFF ends at 4 GB."""


@dataclass(frozen=True)
class PyramidSettings:
    """Form of a TIFF pyramid; ``levels`` None means as many as needed for a small last level."""

    tile_px: int = 256
    quality: int = 90
    levels: int | None = None
    threads: int = 2


def write_pyramid(
    path: Path,
    render: Callable[[Box], Rgb],
    shape_yx: tuple[int, int],
    *,
    mpp: float | None,
    settings: PyramidSettings,
) -> Path:
    """Write a pyramid. ``render`` returns the RGB pixels of a box of level 0, also outside the slide."""
    tile_px, quality, threads = settings.tile_px, settings.quality, settings.threads
    if tile_px <= 0 or tile_px % 16:
        raise ValueError(f"tile_px is {tile_px}, TIFF needs a multiple of 16: pass 256")
    shapes = _level_shapes(shape_yx, settings.levels)
    big = shape_yx[0] * shape_yx[1] > _BIGTIFF_ABOVE_PX
    with ThreadPoolExecutor(threads) as pool, PyramidFile(path, shapes, tile_px, mpp, big=big) as file:
        below = _Level(1, shapes, tile_px, quality, file) if len(shapes) > 1 else None
        row: list[Rgb] = []
        for tiles, quarter, ends_row in _rendered(pool, render, shapes[0], tile_px, quality, threads):
            for tile in tiles:
                file.add(0, tile)
            row.append(quarter)
            if below and ends_row:
                below.add_rows(np.concatenate(row, axis=1))
                row = []
    return path


def _level_shapes(shape_yx: tuple[int, int], levels: int | None) -> list[tuple[int, int]]:
    shapes = [shape_yx]
    while (max(shapes[-1]) > _LAST_LEVEL_PX) if levels is None else (len(shapes) < levels):
        height, width = shapes[-1]
        if min(height, width) < _STEP:
            raise ValueError(f"{shape_yx} has room for {len(shapes)} levels, levels is {levels}: pass fewer")
        shapes.append((height // _STEP, width // _STEP))
    return shapes


def _rendered(
    pool: ThreadPoolExecutor,
    render: Callable[[Box], Rgb],
    shape: tuple[int, int],
    tile_px: int,
    quality: int,
    threads: int,
) -> Iterator[tuple[list[bytes], Rgb, bool]]:
    """Yield strips of level 0 in reading order: JPEG tiles, the strip at level 1, whether its row ends."""

    def make(box: Box) -> tuple[list[bytes], Rgb]:
        rgb = render(box)
        return [_jpeg(tile, quality) for tile in _cut(rgb, tile_px)], _quarter(rgb)

    waiting: deque[tuple[Future[tuple[list[bytes], Rgb]], bool]] = deque()
    for box, ends_row in _strips(shape, tile_px):
        waiting.append((pool.submit(make, box), ends_row))
        if len(waiting) > 2 * threads:
            future, ended = waiting.popleft()
            yield *future.result(), ended
    for future, ended in waiting:
        yield *future.result(), ended


def _strips(shape: tuple[int, int], tile_px: int) -> Iterator[tuple[Box, bool]]:
    """Yield boxes one tile high and a few tiles wide, in reading order; tiles at the edge are whole."""
    width = -(-shape[1] // tile_px) * tile_px
    step = _STRIP_TILES * tile_px
    for y0 in range(0, shape[0], tile_px):
        for x0 in range(0, width, step):
            x1 = min(x0 + step, width)
            yield Box(y0, x0, y0 + tile_px, x1), x1 == width


class _Level:
    """Collects the pixel rows of one lower level and writes a row of tiles at a time."""

    def __init__(
        self, level: int, shapes: list[tuple[int, int]], tile_px: int, quality: int, file: PyramidFile
    ) -> None:
        self._level, self._shape, self._tile_px, self._quality = level, shapes[level], tile_px, quality
        self._file = file
        lowest = level + 1 == len(shapes)
        self._below = None if lowest else _Level(level + 1, shapes, tile_px, quality, file)
        self._rows: list[Rgb] = []
        self._rows_left = self._shape[0]

    def add_rows(self, rows: Rgb) -> None:
        """Add pixel rows; write tiles when a row of them is complete."""
        rows = rows[: self._rows_left, : self._shape[1]]
        if len(rows):
            self._rows.append(rows)
            self._rows_left -= len(rows)
        if self._rows and (sum(map(len, self._rows)) == self._tile_px or self._rows_left == 0):
            self._emit()

    def _emit(self) -> None:
        rows = np.concatenate(self._rows)
        self._rows = []
        width = -(-rows.shape[1] // self._tile_px) * self._tile_px
        rows = np.pad(
            rows,
            ((0, self._tile_px - rows.shape[0]), (0, width - rows.shape[1]), (0, 0)),
            constant_values=255,
        )
        for tile in _cut(rows, self._tile_px):
            self._file.add(self._level, _jpeg(tile, self._quality))
        if self._below:
            self._below.add_rows(_quarter(rows))


def _cut(rgb: Rgb, tile_px: int) -> Iterator[Rgb]:
    for x0 in range(0, rgb.shape[1], tile_px):
        yield rgb[:, x0 : x0 + tile_px]


def _jpeg(rgb: Rgb, quality: int) -> bytes:
    """Return a complete JPEG stream with its tables, 4:2:0."""
    buffer = BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


@njit(cache=True, nogil=True)
def _quarter(rgb: Any) -> Any:
    """Return the rounded means of 4x4 pixels."""
    height, width = rgb.shape[0] // _STEP, rgb.shape[1] // _STEP
    out = np.empty((height, width, 3), np.uint8)
    for y in range(height):
        for x in range(width):
            for channel in range(3):
                total = 0
                for dy in range(_STEP):
                    for dx in range(_STEP):
                        total += rgb[y * _STEP + dy, x * _STEP + dx, channel]
                out[y, x, channel] = (total + 8) // 16
    return out
