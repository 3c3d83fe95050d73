"""Peaks of a relief that rise far enough above the pass to a higher one.

A network's map of single objects seldom falls to nothing between two that touch, and seldom rises as high in
a faint one as in a clear one. So no threshold tells them apart; how far one must go down between them does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from sac_wsi.nuclei.links import root

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NONE = -1


def peaks(height: NDArray[np.int32], mask: NDArray[np.bool_], least_rise: int) -> NDArray[np.int32]:
    """(h, w) the peaks of ``height`` (h, w) as labels 1..n, the highest first; 0 elsewhere and off ``mask``.

    From a peak every way within the 8-connected mask to a higher peak leads at least ``least_rise`` down; of
    equally high ones the first in reading order counts as higher. Each region of the mask has a highest one,
    whatever its rise. A peak's pixels are those less than ``least_rise`` below its top that can be reached
    from there without going lower than that.

    >>> peaks(np.array([[9, 5, 8, 7, 9]], np.int32), np.ones((1, 5), bool), 3).tolist()
    [[1, 0, 2, 2, 2]]
    """
    if least_rise < 1:
        raise ValueError(f"least_rise is {least_rise}: needed 1 or more, or every pixel is a peak")
    if height.shape != mask.shape:
        raise ValueError(f"height {height.shape} and mask {mask.shape}: needed one shape")
    height, mask = np.pad(height, 1), np.pad(mask, 1)  # then every pixel of the mask has eight neighbours
    heights, inside = height.ravel(), np.flatnonzero(mask)
    downwards = inside[np.argsort(-heights[inside].astype(np.int64), kind="stable")]
    labels = np.zeros(height.shape, np.int32)
    labels.ravel()[downwards] = _flood(heights, downwards, height.shape[1], least_rise)
    return labels[1:-1, 1:-1]


@njit(cache=True, nogil=True)
def _flood(heights, downwards, columns, least_rise):  # type: ignore[no-untyped-def]
    """Label each pixel of ``downwards``, the highest first: it starts a hill or joins its neighbours' hill.

    Hills are numbered as they begin, so the first of several is the highest.
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
                    if top[later] - level < least_rise:
                        within[later] = first if top[first] - level < least_rise else _NONE
                    beside = first
                here = beside
        if here == _NONE:
            here, count = count, count + 1
            top[here], joined[here], within[here] = level, here, here
        hill_of[pixel] = here
        near_top[i] = top[here] - level < least_rise
    label = _numbers(within[:count])
    return np.where(near_top, label[hill_of[downwards]], 0)


@njit(cache=True, nogil=True)
def _numbers(within: Any) -> Any:
    """(hills,) the peak 1..n that each one's top is part of, 0 for none; hills are within earlier ones."""
    numbers = np.zeros(len(within), np.int32)
    last = 0
    for hill, other in enumerate(within):
        if other == hill:
            last += 1
            numbers[hill] = last
        elif other != _NONE:
            numbers[hill] = numbers[other]
    return numbers
