"""Find the peaks of a relief by their prominence: how far one must go down to reach a higher peak.

In a map of single nuclei, the values between two touching nuclei are seldom 0, and a faint nucleus seldom has
values as high as a clear one. No threshold separates them, but the prominence of their peaks does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from sac_wsi.nuclei.links import root

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NONE = -1


def peaks(height: NDArray[np.int32], mask: NDArray[np.bool_], min_prominence: int) -> NDArray[np.int32]:
    """Return the peaks of ``height`` (h, w) as labels 1..n, the highest first; 0 elsewhere.

    Every path in the 8-connected ``mask`` from a peak to a higher peak goes down by at least
    ``min_prominence``. Of equally high peaks the first in reading order counts as higher. The highest point
    of each region of the mask is a peak. A peak's pixels are those less than ``min_prominence`` below its top
    that can be reached from the top without going lower than that.

    >>> peaks(np.array([[9, 5, 8, 7, 9]], np.int32), np.ones((1, 5), bool), 3).tolist()
    [[1, 0, 2, 2, 2]]
    """
    if min_prominence < 1:
        raise ValueError(f"min_prominence is {min_prominence}: needed 1 or more, or every pixel is a peak")
    if height.shape != mask.shape:
        raise ValueError(f"height {height.shape} and mask {mask.shape}: needed one shape")
    height, mask = np.pad(height, 1), np.pad(mask, 1)  # then every pixel of the mask has eight neighbours
    heights, inside = height.ravel(), np.flatnonzero(mask)
    downwards = inside[np.argsort(-heights[inside].astype(np.int64), kind="stable")]
    labels = np.zeros(height.shape, np.int32)
    labels.ravel()[downwards] = _flood(heights, downwards, height.shape[1], min_prominence)
    return labels[1:-1, 1:-1]


@njit(cache=True, nogil=True)
def _flood(heights, downwards, columns, min_prominence):  # type: ignore[no-untyped-def]
    """Label each pixel of ``downwards``, the highest first: it starts a hill or joins its neighbours' hill.

    Hills are numbered in the order in which they start, so the first of several is the highest.
    """
    around = np.array([-columns - 1, -columns, -columns + 1, -1, 1, columns - 1, columns, columns + 1])
    hill_of = np.full(len(heights), _NONE, np.int32)  # in which hill a pixel was when it was reached
    near_top = np.zeros(len(downwards), np.bool_)
    top = np.empty(len(downwards), heights.dtype)
    joined = np.empty(len(downwards), np.int32)  # the hill that this one became a part of; itself: none
    within = np.empty(
        len(downwards), np.int32
    )  # the hill whose peak this one's is a part of; itself: its own
    count = 0
    for i, pixel in enumerate(downwards):
        level = heights[pixel]
        here = _NONE
        for step in around:
            beside = hill_of[pixel + step]
            if beside != _NONE:
                beside = root(joined, beside)
                if here != _NONE and beside != here:
                    first, later = min(here, beside), max(here, beside)
                    joined[later] = first
                    if top[later] - level < min_prominence:
                        within[later] = first if top[first] - level < min_prominence else _NONE
                    beside = first
                here = beside
        if here == _NONE:
            here, count = count, count + 1
            top[here], joined[here], within[here] = level, here, here
        hill_of[pixel] = here
        near_top[i] = top[here] - level < min_prominence
    label = _numbers(within[:count])
    return np.where(near_top, label[hill_of[downwards]], 0)


@njit(cache=True, nogil=True)
def _numbers(within: Any) -> Any:
    """Return (hills,) the peak 1..n of the top of each hill, 0: none; hills are within earlier ones."""
    numbers = np.zeros(len(within), np.int32)
    last = 0
    for hill, other in enumerate(within):
        if other == hill:
            last += 1
            numbers[hill] = last
        elif other != _NONE:
            numbers[hill] = numbers[other]
    return numbers
