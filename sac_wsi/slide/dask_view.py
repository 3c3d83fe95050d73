"""Present any level of a slide as a lazy Dask array."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.base import tokenize

from sac_wsi.geometry import Box
from sac_wsi.slide.open import open_slide

if TYPE_CHECKING:
    from sac_wsi.slide.protocol import Rgb, Slide

_CHUNK_PX = 1024
_MAX_HANDLES = 4
_local = threading.local()


def level_array(path: str | Path, level: int, mpp: float | None = None) -> da.Array:
    """Return a level as a lazy (H, W, 3) uint8 array; pixels are read when it is computed.

    Chunks are whole tiles of the file, about 1024 to 2048 pixels a side. Each thread of each process that
    computes one opens the file itself.

    Args:
        path: The slide.
        level: 0 is the full resolution.
        mpp: µm per level-0 pixel; overrides the value in the file.
    """
    path = Path(path).absolute()
    with open_slide(path, mpp=mpp) as slide:
        info = slide.info
    height, width = info.levels[level].shape_yx
    tile_yx = info.tile_yx[level] or (_CHUNK_PX, _CHUNK_PX)
    chunks = (_chunk_lengths(height, tile_yx[0]), _chunk_lengths(width, tile_yx[1]), (3,))
    return da.map_blocks(
        _read_chunk,
        str(path),
        level,
        mpp,
        chunks=chunks,
        dtype=np.uint8,
        meta=np.empty((0, 0, 0), np.uint8),
        # the hash of the content, not the path: names of tasks appear in dashboards and logs
        name=f"slide-level-{tokenize(info.fingerprint, level, chunks)}",
    )


def _chunk_lengths(length: int, tile: int) -> tuple[int, ...]:
    """Return the lengths of the chunks along an axis: whole tiles, except the last; huge tiles are split."""
    side = tile * max(1, -(-_CHUNK_PX // tile)) if tile <= 2 * _CHUNK_PX else _CHUNK_PX
    return tuple(min(side, length - start) for start in range(0, length, side))


def _read_chunk(path: str, level: int, mpp: float | None, block_info: dict[Any, Any] | None = None) -> Rgb:
    if block_info is None:  # Dask calls it once without, to learn the type
        return np.empty((0, 0, 0), np.uint8)
    (y0, y1), (x0, x1), _ = block_info[None]["array-location"]
    return _own_slide(path, mpp).read_level(level, Box(y0, x0, y1, x1))


def _own_slide(path: str, mpp: float | None) -> Slide:
    """Return this thread's open slide.

    The process is part of the key: a forked process must not share the file of its parent.
    """
    slides: OrderedDict[tuple[int, str, float | None], Slide] = _local.__dict__.setdefault(
        "slides", OrderedDict()
    )
    key = (os.getpid(), path, mpp)
    if key not in slides:
        slides[key] = open_slide(path, mpp=mpp)
        if len(slides) > _MAX_HANDLES:
            slides.popitem(last=False)[1].close()
    slides.move_to_end(key)
    return slides[key]
