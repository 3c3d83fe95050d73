"""Cut clumps into ellipses: the component tree of a relief, and the best set of pieces in it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from sac_wsi.nuclei.links import root


@njit(cache=True, nogil=True)
def component_tree(relief: Any, order: Any) -> Any:
    """Return the parent of each pixel of ``order`` (rising height), as a position in ``order``.

    The algorithm is that of Najman & Couprie 2006. A pixel whose parent has the same height belongs to its
    parent's component; a root is its own parent.
    """
    height, width = relief.shape
    heights = relief.ravel()
    place = np.full(relief.size, -1, np.int32)
    parent, linked = np.arange(len(order)), np.arange(len(order))
    for i in range(len(order) - 1, -1, -1):
        pixel = order[i]
        place[pixel] = i
        y, x = pixel // width, pixel % width
        for side in range(4):
            to_y, to_x = y + (-1, 0, 0, 1)[side], x + (0, -1, 1, 0)[side]
            if 0 <= to_y < height and 0 <= to_x < width and place[to_y * width + to_x] >= 0:
                top = root(linked, place[to_y * width + to_x])
                parent[top] = linked[top] = i
    for i in range(len(order)):
        above = parent[i]
        if heights[order[parent[above]]] == heights[order[above]]:
            parent[i] = parent[above]
    return parent


@njit(cache=True, nogil=True)
def best_ellipses(relief: Any, order: Any, parent: Any, smallest: float, largest: float, power: float) -> Any:
    """Return for each pixel of ``order`` the number of the chosen component that holds it, or 0."""
    heights, width = relief.ravel(), relief.shape[1]
    count = len(order)
    sums = np.zeros((count, 6), np.int64)
    of_children, chosen = np.zeros(count), np.zeros(count, np.int32)
    for i in range(count - 1, -1, -1):
        _add_pixel(sums[i], order[i] // width, order[i] % width)
        up = parent[i]
        if up != i:
            sums[up] += sums[i]
            if heights[order[up]] == heights[order[i]]:
                of_children[up] += of_children[i]
                continue
        value = 0.0
        if smallest <= sums[i, 0] <= largest:
            value = sums[i, 0] * ellipse_fill(sums[i]) ** power
        if value > 0 and value >= of_children[i]:
            chosen[i] = 1
        if up != i:
            of_children[up] += max(value, of_children[i])
    number = 0
    for i in range(count):
        if parent[i] != i and chosen[parent[i]]:
            chosen[i] = chosen[parent[i]]
        elif chosen[i]:
            number += 1
            chosen[i] = number
    return chosen


@njit(cache=True, nogil=True)
def _add_pixel(sums: Any, y: int, x: int) -> None:
    sums[0] += 1
    sums[1] += y
    sums[2] += x
    sums[3] += y * y
    sums[4] += y * x
    sums[5] += x * x


@njit(cache=True, nogil=True)
def ellipse_fill(sums: Any) -> float:
    """Return the area over that of the ellipse with the same second moments: 1 for ellipses, else less."""
    n, y, x, yy, yx, xx = sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]
    if n == 0:
        return 0.0
    # differences of integers: exact wherever the tile lies; 1/12 is the variance inside a pixel
    var_y = (n * yy - y * y) / n**2 + 1 / 12
    var_x = (n * xx - x * x) / n**2 + 1 / 12
    cov = (n * yx - y * x) / n**2
    fill: float = n / (4 * math.pi * math.sqrt(var_y * var_x - cov * cov))
    return min(1.0, fill)


@njit(cache=True, nogil=True)
def label_sums(labels: Any, values: Any, count: int) -> Any:
    """Return per label 0..count the six sums of its pixels' positions and the sum of its values."""
    rows = np.zeros((count + 1, 7), np.int64)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            label = labels[y, x]
            if label:
                _add_pixel(rows[label], y, x)
                rows[label, 6] += values[y, x]
    return rows
