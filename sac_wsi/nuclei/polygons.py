"""Trace masks to outlines that are valid polygons without any repair.

The outline joins the midpoints of the pixel edges between inside and outside. Each midpoint is visited
once and corners are cut on the inner side, so the ring of a 4-connected mask without holes is simple:
it neither crosses nor touches itself. Two touching nuclei get the same vertices along their common
border, so their polygons share an edge and no area. Polygons are not simplified.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from sac_wsi.nuclei.masks import bit_at
from sac_wsi.nuclei.table import CENTIPIXEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sac_wsi.nuclei.columns import Nuclei

_STEP_Y = np.array([0, 1, 0, -1])  # east, south, west, north: the inside stays on the right hand
_STEP_X = np.array([1, 0, -1, 0])


def outlines(nuclei: Nuclei, downsample: float) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return ``(polygon_start, polygon_xy_centipx)``: open rings, x, y in hundredths of a level-0 pixel.

    ``downsample`` is level-0 pixels per frame pixel.
    """
    start, doubled_xy = _trace_all(nuclei.box, nuclei.mask_start, nuclei.mask_bits)
    centipx = np.floor(doubled_xy * (downsample * CENTIPIXEL / 2) + 0.5).astype(np.int32)
    return start, centipx


@njit(cache=True, nogil=True)
def _trace_all(box, mask_start, mask_bits):  # type: ignore[no-untyped-def]
    """Return rings in doubled frame coordinates, in which the midpoints are whole numbers."""
    n = len(box)
    start = np.zeros(n + 1, np.int64)
    ring = np.empty((max(64, 64 * n), 2), np.int32)
    end = 0
    for i in range(n):
        height, width = box[i, 2] - box[i, 0], box[i, 3] - box[i, 1]
        most = 4 * height * width + 4
        if end + most > len(ring):
            more = np.empty((2 * len(ring) + most, 2), np.int32)
            more[:end] = ring[:end]
            ring = more
        vertices = _trace(mask_bits, mask_start[i], height, width, ring[end:])
        ring[end : end + vertices, 0] += 2 * box[i, 1]
        ring[end : end + vertices, 1] += 2 * box[i, 0]
        end += vertices
        start[i + 1] = end
    return start, ring[:end]


@njit(cache=True, nogil=True)
def _trace(bits, first, height, width, out):  # type: ignore[no-untyped-def]
    """Walk once around the mask from its first pixel's top edge; write the corners of the midpoint ring."""
    k = 0
    while not bit_at(bits, first, k):
        k += 1
    y, x, heading = k // width, k % width, 0
    start_y, start_x = y, x
    vertices = 0
    while True:
        vertices = _append(out, vertices, 2 * x + _STEP_X[heading], 2 * y + _STEP_Y[heading])
        y += _STEP_Y[heading]
        x += _STEP_X[heading]
        # the two pixels in front of the current vertex, to the right and to the left
        right = (heading + 1) % 4
        ahead_y, ahead_x = _STEP_Y[heading], _STEP_X[heading]
        right_y, right_x = _STEP_Y[right], _STEP_X[right]
        ry, rx = y + (ahead_y + right_y - 1) // 2, x + (ahead_x + right_x - 1) // 2
        ly, lx = y + (ahead_y - right_y - 1) // 2, x + (ahead_x - right_x - 1) // 2
        if not _inside(bits, first, height, width, ry, rx):
            heading = right
        elif _inside(bits, first, height, width, ly, lx):
            heading = (heading + 3) % 4
        if y == start_y and x == start_x and heading == 0:
            return _close(out, vertices)


@njit(inline="always")
def _inside(bits, first, height, width, y, x):  # type: ignore[no-untyped-def]
    return 0 <= y < height and 0 <= x < width and bit_at(bits, first, y * width + x)


@njit(cache=True, nogil=True)
def _append(out, vertices, x, y):  # type: ignore[no-untyped-def]
    """Add a vertex; remove the one before it if it lies on a straight line to the new one."""
    if vertices >= 2 and _straight(out, vertices - 2, vertices - 1, x, y):
        vertices -= 1
    out[vertices, 0], out[vertices, 1] = x, y
    return vertices + 1


@njit(cache=True, nogil=True)
def _straight(out, a, b, x, y):  # type: ignore[no-untyped-def]
    bx, by = out[b, 0] - out[a, 0], out[b, 1] - out[a, 1]
    return bx * (y - out[b, 1]) == by * (x - out[b, 0])


@njit(cache=True, nogil=True)
def _close(out, vertices):  # type: ignore[no-untyped-def]
    """Remove the vertices at both ends that lie on a straight line through the start."""
    if _straight(out, vertices - 2, vertices - 1, out[0, 0], out[0, 1]):
        vertices -= 1
    if _straight(out, vertices - 1, 0, out[1, 0], out[1, 1]):
        vertices -= 1
        out[0] = out[vertices]
    return vertices
