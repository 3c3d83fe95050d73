"""Measure each nucleus on its polygon; QuPath computes the same numbers from the same polygon."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from sac_wsi.nuclei.table import CENTIPIXEL, MEASUREMENTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHAPES = 9


def measure(
    polygon_start: NDArray[np.int64],
    polygon_xy_centipx: NDArray[np.int32],
    stain_od: NDArray[np.float32],
    mpp: float,
) -> NDArray[np.float32]:
    """Return (N, len(MEASUREMENTS)) in the order of ``MEASUREMENTS``; ``mpp`` is µm per level-0 pixel."""
    values = np.empty((len(stain_od), len(MEASUREMENTS)), np.float32)
    _shapes(polygon_start, polygon_xy_centipx, mpp / CENTIPIXEL, values)
    values[:, _SHAPES:] = stain_od
    return values


@njit(cache=True, nogil=True)
def _shapes(start, xy, um, values):  # type: ignore[no-untyped-def]
    for i in range(len(start) - 1):
        ring = xy[start[i] : start[i + 1]]
        area, length, cx, cy, angle = _ring_moments(ring)
        hull = _convex_hull(ring)
        values[i, 0] = cx * um
        values[i, 1] = cy * um
        values[i, 2] = area * um * um
        values[i, 3] = length * um
        values[i, 4] = 4 * math.pi * area / (length * length)
        values[i, 5] = area / _area(hull)
        values[i, 6] = 2 * _enclosing_radius(hull) * um
        values[i, 7] = _least_width(hull) * um
        values[i, 8] = angle


@njit(cache=True, nogil=True)
def _ring_moments(ring):  # type: ignore[no-untyped-def]
    """Return area, length, centroid and direction of the long axis (degrees, counter-clockwise on screen).

    Moments are relative to the first vertex: with absolute coordinates too many digits would be lost.
    """
    n = len(ring)
    x0, y0 = float(ring[0, 0]), float(ring[0, 1])
    area2 = sx = sy = sxx = syy = sxy = length = 0.0
    for k in range(n):
        ax, ay = ring[k, 0] - x0, ring[k, 1] - y0
        m = k + 1 if k + 1 < n else 0
        bx, by = ring[m, 0] - x0, ring[m, 1] - y0
        cross = ax * by - bx * ay
        area2 += cross
        sx += (ax + bx) * cross
        sy += (ay + by) * cross
        sxx += (ax * ax + ax * bx + bx * bx) * cross
        syy += (ay * ay + ay * by + by * by) * cross
        sxy += (ax * by + 2 * ax * ay + 2 * bx * by + bx * ay) * cross
        length += math.hypot(bx - ax, by - ay)
    area = area2 / 2
    cx, cy = sx / (6 * area), sy / (6 * area)
    mxx, myy, mxy = sxx / (12 * area) - cx * cx, syy / (12 * area) - cy * cy, sxy / (24 * area) - cx * cy
    angle = -math.degrees(0.5 * math.atan2(2 * mxy, mxx - myy))
    return abs(area), length, cx + x0, cy + y0, angle


@njit(cache=True, nogil=True)
def _cross(ax, ay, bx, by, cx, cy):  # type: ignore[no-untyped-def]
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)


@njit(cache=True, nogil=True)
def _convex_hull(ring):  # type: ignore[no-untyped-def]
    """Return the convex hull: Andrew's monotone chain in whole numbers, so that nothing is rounded."""
    points = np.empty((len(ring), 2), np.int64)
    order = np.argsort(ring[:, 0].astype(np.int64) * 2**32 + ring[:, 1])
    for k in range(len(ring)):
        points[k, 0], points[k, 1] = ring[order[k], 0], ring[order[k], 1]
    n = len(points)
    hull = np.empty((2 * n + 1, 2), np.int64)
    size = 0
    for k in range(n):
        while size >= 2 and _turn(hull, size, points, k) <= 0:
            size -= 1
        hull[size] = points[k]
        size += 1
    lower = size + 1
    for k in range(n - 2, -1, -1):
        while size >= lower and _turn(hull, size, points, k) <= 0:
            size -= 1
        hull[size] = points[k]
        size += 1
    return hull[: size - 1].astype(np.float64)


@njit(cache=True, nogil=True)
def _turn(hull, size, points, k):  # type: ignore[no-untyped-def]
    a, b = hull[size - 2], hull[size - 1]
    return _cross(a[0], a[1], b[0], b[1], points[k, 0], points[k, 1])


@njit(cache=True, nogil=True)
def _area(hull):  # type: ignore[no-untyped-def]
    total = 0.0
    for k in range(1, len(hull) - 1):
        total += _cross(hull[0, 0], hull[0, 1], hull[k, 0], hull[k, 1], hull[k + 1, 0], hull[k + 1, 1])
    return abs(total) / 2


@njit(cache=True, nogil=True)
def _least_width(hull):  # type: ignore[no-untyped-def]
    """Return the smallest distance between two parallel lines with the hull between them."""
    least = np.inf
    for k in range(len(hull)):
        m = k + 1 if k + 1 < len(hull) else 0
        side = math.hypot(hull[m, 0] - hull[k, 0], hull[m, 1] - hull[k, 1])
        far = 0.0
        for p in range(len(hull)):
            far = max(
                far, abs(_cross(hull[k, 0], hull[k, 1], hull[m, 0], hull[m, 1], hull[p, 0], hull[p, 1]))
            )
        least = min(least, far / side)
    return least


@njit(cache=True, nogil=True)
def _enclosing_radius(hull):  # type: ignore[no-untyped-def]
    """Return the radius of the smallest circle around the hull (Welzl's algorithm, iterative)."""
    slack = 1e-7
    x, y, r = hull[0, 0], hull[0, 1], 0.0
    for i in range(1, len(hull)):
        if math.hypot(hull[i, 0] - x, hull[i, 1] - y) <= r + slack:
            continue
        x, y, r = hull[i, 0], hull[i, 1], 0.0
        for j in range(i):
            if math.hypot(hull[j, 0] - x, hull[j, 1] - y) <= r + slack:
                continue
            x, y = (hull[i, 0] + hull[j, 0]) / 2, (hull[i, 1] + hull[j, 1]) / 2
            r = math.hypot(hull[i, 0] - x, hull[i, 1] - y)
            for k in range(j):
                if math.hypot(hull[k, 0] - x, hull[k, 1] - y) > r + slack:
                    x, y, r = _circle_through(hull[i], hull[j], hull[k])
    return r


@njit(cache=True, nogil=True)
def _circle_through(a, b, c):  # type: ignore[no-untyped-def]
    bx, by, cx, cy = b[0] - a[0], b[1] - a[1], c[0] - a[0], c[1] - a[1]
    d = 2 * (bx * cy - by * cx)
    b2, c2 = bx * bx + by * by, cx * cx + cy * cy
    ux, uy = (cy * b2 - by * c2) / d, (bx * c2 - cx * b2) / d
    return a[0] + ux, a[1] + uy, math.hypot(ux, uy)
