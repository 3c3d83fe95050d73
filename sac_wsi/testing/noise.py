"""Value noise: smooth random fields in [0, 1). A pixel's value does not depend on the region computed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from sac_wsi.testing.hashing import draw, place_key

MAX_SECOND_DERIVATIVE = 6.0
"""Largest second derivative along an axis for a period of 1: that of smoothstep."""


@njit(cache=True, nogil=True)
def smoothstep(t: Any) -> Any:
    """Return 3t² - 2t³, which rises smoothly from 0 to 1."""
    return t * t * (np.float32(3) - np.float32(2) * t)


@njit(cache=True, nogil=True)
def _node(seed: Any, row: int, column: int) -> Any:
    return np.float32(draw(place_key(seed, row, column), 0))


@njit(cache=True, nogil=True)
def noise_at(seed: Any, y: int, x: int, shift: int) -> Any:
    """Return the value at one pixel of the field with a period of ``2**shift`` pixels."""
    row, column, mask = y >> shift, x >> shift, (1 << shift) - 1
    scale = np.float32(1.0 / (1 << shift))
    ty, tx = smoothstep(np.float32(y & mask) * scale), smoothstep(np.float32(x & mask) * scale)
    top, bottom = _node(seed, row, column), _node(seed, row + 1, column)
    left = top + (bottom - top) * ty
    top, bottom = _node(seed, row, column + 1), _node(seed, row + 1, column + 1)
    right = top + (bottom - top) * ty
    return left + (right - left) * tx


@njit(cache=True, nogil=True)
def noise_row(seed: Any, y: int, x0: int, shift: int, out: Any) -> None:
    """Write ``noise_at`` of the pixels ``x0, x0 + 1, ...`` of row ``y`` into ``out``, many times faster."""
    row, mask = y >> shift, (1 << shift) - 1
    scale = np.float32(1.0 / (1 << shift))
    ty = smoothstep(np.float32(y & mask) * scale)
    column = x0 >> shift
    top, bottom = _node(seed, row, column), _node(seed, row + 1, column)
    left = top + (bottom - top) * ty
    done = 0
    while done < len(out):
        top, bottom = _node(seed, row, column + 1), _node(seed, row + 1, column + 1)
        right = top + (bottom - top) * ty
        first = (x0 + done) & mask
        count = min(mask + 1 - first, len(out) - done)
        for i in range(count):
            tx = smoothstep(np.float32(first + i) * scale)
            out[done + i] = left + (right - left) * tx
        done += count
        left, column = right, column + 1
