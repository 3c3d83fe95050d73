"""Where a synthetic slide has tissue: everywhere, or in smooth blobs away from the slide's edge."""

from __future__ import annotations

from math import log2
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from sac_wsi.testing.noise import MAX_SECOND_DERIVATIVE, noise_at, noise_row

_OUTLINE = 0.35
"""Weight of the finer noise field, which makes the outlines of the blobs wavy."""

_LEVEL = 0.58
"""Pixels with a greater height are tissue."""

_MIDDLE = 0.8
"""Height added in the middle of the slide: above the level, so that no slide is empty."""

_FULL = -1


class Tissue(NamedTuple):
    """Parameters of the tissue. ``shift`` is log2 of the blobs' size in pixels, -1 for tissue everywhere.

    ``margin`` is the width of the edges without tissue, in pixels.
    """

    seed: int
    height: int
    width: int
    shift: int
    margin: int


def full_tissue() -> Tissue:
    """Return tissue everywhere."""
    return Tissue(0, 0, 0, _FULL, 1)


def blob_tissue(seed: int, shape_yx: tuple[int, int], cell_px: int) -> Tissue:
    """Return blobs of about a fifth of the slide's width, but at least eight cells of the lattice."""
    shift = round(log2(max(min(shape_yx) / 5, 8 * cell_px)))
    return Tissue(seed ^ 0x7155, *shape_yx, shift, max(2 * cell_px, min(shape_yx) // 8))


@njit(cache=True, nogil=True)
def cover_row(tissue: Any, y: int, x0: int, fine: Any, out: Any) -> None:
    """Write into ``out`` how much of each pixel from ``x0`` on is tissue, 0..1. Overwrites ``fine``."""
    if tissue.shift == _FULL:
        out[:] = np.float32(1)
        return
    noise_row(tissue.seed, y, x0, tissue.shift, out)
    noise_row(tissue.seed + 1, y, x0, tissue.shift - 2, fine)
    steep = np.float32((1 << tissue.shift) / 32.0)
    for i in range(len(out)):
        height = out[i] + np.float32(_OUTLINE) * fine[i] + np.float32(_slide_form(tissue, y, x0 + i))
        covered = (height - np.float32(_LEVEL)) * steep + np.float32(0.5)
        out[i] = min(max(covered, np.float32(0)), np.float32(1))


@njit(cache=True, nogil=True)
def safely_inside(tissue: Any, y: int, x: int, size: int) -> bool:
    """Return whether the square of ``size`` pixels around a pixel is all tissue, from nine of its points.

    Between two points ``step`` apart a curve lies below its chord by at most step²/8 times its second
    derivative.
    """
    if tissue.shift == _FULL:
        return True
    step = (size + 2) // 2
    noise_bend = 2.0 * MAX_SECOND_DERIVATIVE * (1.0 + 16.0 * _OUTLINE) / (1 << tissue.shift) ** 2
    hill_bend = 192.0 * _MIDDLE * (1.0 / tissue.height**2 + 1.0 / tissue.width**2)
    lowest = _LEVEL + step * step / 8.0 * (noise_bend + hill_bend) + 1e-3
    for dy in range(-step, step + 1, step):
        for dx in range(-step, step + 1, step):
            if _height(tissue, y + dy, x + dx) < lowest:
                return False
    return True


@njit(cache=True, nogil=True)
def _height(tissue: Any, y: int, x: int) -> Any:
    coarse = noise_at(tissue.seed, y, x, tissue.shift)
    fine = noise_at(tissue.seed + 1, y, x, tissue.shift - 2)
    return coarse + _OUTLINE * fine + _slide_form(tissue, y, x)


@njit(cache=True, nogil=True)
def _slide_form(tissue: Any, y: int, x: int) -> Any:
    """Return the height that raises the middle of the slide and lowers its edges."""
    to_edge = min(min(y, tissue.height - 1 - y), min(x, tissue.width - 1 - x))
    fall = min(0.0, 2.0 * (to_edge / tissue.margin - 1.0))
    from_middle_y, from_middle_x = 4.0 * y / tissue.height - 2.0, 4.0 * x / tissue.width - 2.0
    hill = max(0.0, 1.0 - from_middle_y * from_middle_y - from_middle_x * from_middle_x)
    return fall + _MIDDLE * hill * hill
