"""Draw polygons as a label map, with the coordinates of the MoNuSeg annotations.

X and Y count pixels from 1, and the position of a pixel is its centre: pixel (row r, column c), counted
from 0, belongs to a polygon that contains the point X = c + 1, Y = r + 1. (In QuPath's or GeoJSON's frame,
where the first pixel reaches from 0 to 1, such a polygon therefore lies half a pixel too far right and down.)
A centre that lies exactly on an edge belongs to the polygon whose right or lower edge it is. Inside is
even-odd. Where polygons overlap, the first keeps the pixel.

Measured against the label maps shipped beside the four annotations at hand: 99.94 % of 4,000,000 pixels have
the same id, the foreground's Dice is 0.998. Other frames are worse: half a pixel off gives 98.6 % and 0.954
or 99.0 % and 0.967, counting from 0 gives 97.6 % and 0.923.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sac_wsi.datasets.sample import Labels

FIRST_PIXEL_XY = 1.0
"""X and Y of the centre of the first pixel."""


def paint(polygons_xy: Sequence[NDArray[np.float64]], shape_yx: tuple[int, int]) -> Labels:
    """Return (h, w) labels: the number, from 1, of the first polygon that contains the pixel, or 0."""
    labels = np.zeros(shape_yx, np.int32)
    for number, polygon_xy in enumerate(polygons_xy, 1):
        y0, x0, inside = covered(polygon_xy - FIRST_PIXEL_XY, shape_yx)
        place = labels[y0 : y0 + inside.shape[0], x0 : x0 + inside.shape[1]]
        place[inside & (place == 0)] = number
    return labels


def covered(xy_px: NDArray[np.float64], shape_yx: tuple[int, int]) -> tuple[int, int, NDArray[np.bool_]]:
    """Return row, column and (h, w) mask of the pixels whose centres, at whole numbers, are inside.

    >>> covered(np.array([[0.0, 0], [2, 0], [2, 2], [0, 2]]), (9, 9))[2].astype(int).tolist()
    [[0, 0, 0], [0, 1, 1], [0, 1, 1]]
    """
    nothing = 0, 0, np.zeros((0, 0), bool)
    if len(xy_px) < 3:
        return nothing
    low_x, low_y = np.maximum(np.floor(xy_px.min(axis=0)), 0)
    high_x, high_y = np.minimum(np.floor(xy_px.max(axis=0)) + 1, (shape_yx[1], shape_yx[0]))
    if low_x >= high_x or low_y >= high_y:
        return nothing
    x0, y0, width, height = int(low_x), int(low_y), int(high_x - low_x), int(high_y - low_y)
    row, x = _crossings(xy_px, y0, y0 + height)
    # an edge through a pixel's centre lies to its left: floor + 1, not ceil
    column = np.clip(np.floor(x) + 1 - x0, 0, width).astype(np.int64)
    flips = np.zeros((height, width + 1), np.int64)
    np.add.at(flips, (row - y0, column), 1)
    return y0, x0, np.cumsum(flips, axis=1)[:, :-1] % 2 == 1


def _crossings(xy_px: NDArray[np.float64], y0: int, y1: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return row and x of every point where an edge crosses one of the rows y0..y1."""
    (ax, ay), (bx, by) = xy_px.T, np.roll(xy_px, -1, axis=0).T
    # an edge crosses the rows below its upper end, up to and including its lower end
    first = np.clip(np.floor(np.minimum(ay, by)) + 1, y0, y1).astype(np.int64)
    end = np.clip(np.floor(np.maximum(ay, by)) + 1, y0, y1).astype(np.int64)
    rows = end - first
    edge = np.repeat(np.arange(len(rows)), rows)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(rows) - rows, rows) + first[edge]
    return row, ax[edge] + (row - ay[edge]) / (by[edge] - ay[edge]) * (bx[edge] - ax[edge])
