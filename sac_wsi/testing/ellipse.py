"""The shape of one synthetic nucleus: an ellipse. In a touching pair a line between the two cuts both."""

from __future__ import annotations

from math import ceil, floor
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from sac_wsi.nuclei.masks import append_mask, new_columns, trim_columns

ELLIPSE = np.dtype(
    [
        ("cy", np.float64),  # centre in frame pixels; the centre of pixel (y, x) is (y, x)
        ("cx", np.float64),
        ("major", np.float64),  # semi-axes in pixels
        ("minor", np.float64),
        ("uy", np.float64),  # unit vector of the major axis
        ("ux", np.float64),
        ("side", np.int64),  # 0: not in a pair; -1 or 1: the side of the cut that the nucleus keeps
        ("cut_y", np.float64),  # a point of the cut, in frame pixels
        ("cut_x", np.float64),
        ("normal_y", np.float64),  # unit vector across the cut, from side -1 to side 1
        ("normal_x", np.float64),
        ("grow", np.float64),  # pixels by which the semi-axes and the cut were moved outwards
        ("ink", np.float64),  # amount of haematoxylin, 0..1
        ("key", np.uint64),  # seed of the random numbers of this nucleus
    ],
    align=True,
)


class Outline(NamedTuple):
    """The fields of ``ELLIPSE`` that define its pixels: faster in loops, as it stays in registers."""

    cy: float
    cx: float
    major: float
    minor: float
    uy: float
    ux: float
    side: int
    cut_y: float
    cut_x: float
    normal_y: float
    normal_x: float
    grow: float


@njit(cache=True, nogil=True)
def outline(e: Any) -> Any:
    """Return the ``Outline`` of an ``ELLIPSE`` record."""
    return Outline(
        e.cy, e.cx, e.major, e.minor, e.uy, e.ux, e.side, e.cut_y, e.cut_x, e.normal_y, e.normal_x, e.grow
    )


@njit(cache=True, nogil=True)
def half_height(e: Any) -> Any:
    """Return half the height of the ellipse's bounding box, in pixels."""
    return np.sqrt((e.major * e.uy) ** 2 + (e.minor * e.ux) ** 2)


@njit(cache=True, nogil=True)
def half_width(e: Any) -> Any:
    """Return half the width of the ellipse's bounding box, in pixels."""
    return np.sqrt((e.major * e.ux) ** 2 + (e.minor * e.uy) ** 2)


@njit(cache=True, nogil=True)
def quadratic_form(e: Any, dy: float, dx: float) -> Any:
    """Return a value that is at most 1 inside the ellipse; ``dy, dx`` are measured from its centre."""
    along, across = (dy * e.uy + dx * e.ux) / e.major, (dy * e.ux - dx * e.uy) / e.minor
    return along * along + across * across


@njit(cache=True, nogil=True)
def beyond_cut(e: Any, y: int, x: int) -> Any:
    """Return the signed distance from the cut in pixels, positive on side 1."""
    return e.normal_y * (y - e.cut_y) + e.normal_x * (x - e.cut_x)


@njit(cache=True, nogil=True)
def holds(e: Any, y: int, x: int) -> Any:
    """Return whether a pixel belongs to the nucleus. All masks and pictures use this definition."""
    if quadratic_form(e, y - e.cy, x - e.cx) > 1.0:
        return False
    if e.side == 0:
        return True
    distance = beyond_cut(e, y, x)
    # only one comparison is strict, so that each pixel of a pair belongs to exactly one nucleus
    return distance <= e.grow if e.side < 0 else distance > -e.grow


@njit(cache=True, nogil=True)
def reach(e: Any, margin: int, clip: Any) -> Any:
    """Return the half-open box y0, x0, y1, x1 around the ellipse and ``margin`` pixels, inside ``clip``."""
    dy, dx = half_height(e), half_width(e)
    y0, y1 = floor(e.cy - dy) - margin, ceil(e.cy + dy) + margin + 1
    x0, x1 = floor(e.cx - dx) - margin, ceil(e.cx + dx) + margin + 1
    return max(y0, clip[0]), max(x0, clip[1]), min(y1, clip[2]), min(x1, clip[3])


@njit(cache=True, nogil=True)
def pack_ellipses(ellipses: Any, clip: Any) -> Any:
    """Return nuclei as columns, cut at ``clip`` (y0, x0, y1, x1), and the indices of ellipses with pixels."""
    byte_count, widest = 0, 0
    for i in range(len(ellipses)):
        y0, x0, y1, x1 = reach(ellipses[i], 0, clip)
        area = max(0, y1 - y0) * max(0, x1 - x0)
        byte_count += (area + 7) >> 3
        widest = max(widest, area)
    columns = new_columns(len(ellipses), byte_count)
    rows = np.empty(len(ellipses), np.int64)
    scratch = np.empty(widest, np.uint8)
    count = 0
    for i in range(len(ellipses)):
        y0, x0, y1, x1 = reach(ellipses[i], 0, clip)
        if y0 >= y1 or x0 >= x1:
            continue
        patch = scratch[: (y1 - y0) * (x1 - x0)].reshape(y1 - y0, x1 - x0)
        shape = outline(ellipses[i])
        for y in range(y0, y1):
            for x in range(x0, x1):
                patch[y - y0, x - x0] = holds(shape, y, x)
        if append_mask(patch, 1, y0, x0, count, columns):
            rows[count] = i
            count += 1
    return trim_columns(columns, count), rows[:count]
