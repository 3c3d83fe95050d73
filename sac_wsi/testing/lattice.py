"""Place the nuclei of a synthetic slide.

The slide is divided into square cells; each row of cells is shifted sideways by a random amount. A cell is
empty or holds one nucleus or one touching pair; its key decides. Nuclei stay one pixel away from the edge of
their cell, so nuclei of two cells are at least two pixels apart, and a region depends only on its own cells.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from sac_wsi.testing.ellipse import ELLIPSE, half_height, half_width, quadratic_form
from sac_wsi.testing.hashing import draw, draw_bell, place_key
from sac_wsi.testing.tissue import Tissue, safely_inside

_ROOM_LOST_PX = 3
"""Width of a cell that nuclei cannot use: one pixel on each side, and one for rounding to whole pixels."""

_TOUCH_DEPTH_PX = 1.25
"""How far each nucleus of a touching pair extends over the line between them before it is cut."""

_SEAM_JITTER_PX = 8.0

# counters of the random numbers: adding one does not change the others
_IS_THERE, _IS_PAIR, _PLACE_Y, _PLACE_X, _PAIR_DIRECTION, _FIRST_SHAPE, _SECOND_SHAPE = 0, 1, 2, 3, 4, 16, 32


class Lattice(NamedTuple):
    """Define place and shape of every nucleus. Lengths are in level-0 pixels; seam 0 means no seam."""

    seed: int
    height: int
    width: int
    pitch: int
    occupancy: float
    pair_chance: float
    median_radius: float
    min_radius: float
    max_radius: float
    seam_y: int
    seam_x: int
    tissue: Tissue


@njit(cache=True, nogil=True)
def ellipses_in(lattice: Any, box: Any) -> Any:
    """Return the nuclei of all cells that touch ``box`` (y0, x0, y1, x1), in reading order of the cells."""
    pitch, (y0, x0, y1, x1) = lattice.pitch, box
    if y1 <= y0 or x1 <= x0:
        return np.zeros(0, ELLIPSE)
    row_count, column_count = (y1 - 1) // pitch - y0 // pitch + 1, (x1 - x0) // pitch + 2
    found = np.zeros(2 * row_count * column_count, ELLIPSE)
    count = 0
    for row in range(y0 // pitch, (y1 - 1) // pitch + 1):
        shift = row_shift(lattice, row)
        for column in range((x0 - shift) // pitch, (x1 - 1 - shift) // pitch + 1):
            count += _fill_cell(lattice, row, column, found[count : count + 2])
    return found[:count].copy()


@njit(cache=True, nogil=True)
def count_all(lattice: Any) -> int:
    """Return the number of nuclei on the whole slide."""
    pair, count = np.zeros(2, ELLIPSE), 0
    for row in range(lattice.height // lattice.pitch):
        for column in range(-1, lattice.width // lattice.pitch):
            count += _fill_cell(lattice, row, column, pair)
    return count


@njit(cache=True, nogil=True)
def row_shift(lattice: Any, row: int) -> int:
    """Return the sideways shift of a row in pixels. Without it the cells would be visible as columns."""
    return int(draw(place_key(lattice.seed, row, 0x0F0F0F), 0) * lattice.pitch)


@njit(cache=True, nogil=True)
def _fill_cell(lattice: Any, row: int, column: int, out: Any) -> int:
    """Write the nuclei of a cell into ``out``, which has two rows; return their number."""
    key = place_key(lattice.seed, row, column)
    if draw(key, _IS_THERE) >= lattice.occupancy:
        return 0
    pitch = lattice.pitch
    y0, x0 = row * pitch, column * pitch + row_shift(lattice, row)
    if y0 < 0 or x0 < 0 or y0 + pitch > lattice.height or x0 + pitch > lattice.width:
        return 0
    if not safely_inside(lattice.tissue, y0 + pitch // 2, x0 + pitch // 2, pitch):
        return 0
    count = 2 if draw(key, _IS_PAIR) < lattice.pair_chance else 1
    for i in range(count):
        _shape(lattice, key, _SECOND_SHAPE if i else _FIRST_SHAPE, out[i])
    group = out[:count]
    _shrink_into(group, pitch - _ROOM_LOST_PX, key)
    _place(lattice, group, y0, x0, key)
    return count


@njit(cache=True, nogil=True)
def _shape(lattice: Any, key: Any, counter: int, e: Any) -> None:
    bell = draw_bell(key, counter)
    # 3 to 5 µm within one standard deviation, with a long tail of large nuclei
    radius = lattice.median_radius * (1.0 + 0.25 * bell + 0.04 * bell * bell)
    stretch = np.sqrt(1.0 + 0.9 * draw(key, counter + 4) ** 2)
    e.major = min(max(radius * stretch, lattice.min_radius), lattice.max_radius)
    e.minor = min(max(radius / stretch, lattice.min_radius), e.major)
    e.uy, e.ux = _direction(draw(key, counter + 5))
    e.side, e.grow = 0, 0.0
    e.ink = draw(key, counter + 6)
    e.key = place_key(key, counter, 0)


@njit(cache=True, nogil=True)
def _direction(u: float) -> Any:
    """Return a unit vector of the upper half plane, without ``cos`` (see ``draw_bell``)."""
    t = 2.0 * u - 1.0
    return (1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t)


@njit(cache=True, nogil=True)
def _shrink_into(group: Any, room: float, key: Any) -> None:
    """Arrange the nuclei of a cell around the origin; scale them down if they are too large for the cell."""
    if len(group) == 2:
        _join(group, key)
    top, left, bottom, right = _extent(group)
    scale = min(1.0, room / max(bottom - top, right - left))
    for i in range(len(group)):
        group[i].major *= scale
        group[i].minor *= scale
    if len(group) == 2:
        _join(group, key)


@njit(cache=True, nogil=True)
def _join(pair: Any, key: Any) -> None:
    """Put two ellipses on the two sides of a cut through the origin, each extending a little over it."""
    ny, nx = _direction(draw(key, _PAIR_DIRECTION))
    for i in range(2):
        e, sign = pair[i], 2 * i - 1
        radius = 1.0 / np.sqrt(quadratic_form(e, ny, nx))
        distance = radius - min(_TOUCH_DEPTH_PX, 0.5 * radius)
        e.cy, e.cx, e.side = sign * distance * ny, sign * distance * nx, sign
        e.normal_y, e.normal_x = ny, nx


@njit(cache=True, nogil=True)
def _extent(group: Any) -> Any:
    top, left, bottom, right = np.inf, np.inf, -np.inf, -np.inf
    for i in range(len(group)):
        e = group[i]
        dy, dx = half_height(e), half_width(e)
        top, bottom = min(top, e.cy - dy), max(bottom, e.cy + dy)
        left, right = min(left, e.cx - dx), max(right, e.cx + dx)
    return top, left, bottom, right


@njit(cache=True, nogil=True)
def _place(lattice: Any, group: Any, y0: int, x0: int, key: Any) -> None:
    """Move the nuclei from the origin to a random place in their cell, or onto a seam that crosses it."""
    top, left, bottom, right = _extent(group)
    room = lattice.pitch - _ROOM_LOST_PX
    dy = y0 + 1 - top + _offset(draw(key, _PLACE_Y), room, bottom - top, y0 + 1, lattice.seam_y)
    dx = x0 + 1 - left + _offset(draw(key, _PLACE_X), room, right - left, x0 + 1, lattice.seam_x)
    for i in range(len(group)):
        e = group[i]
        e.cy, e.cx = e.cy + dy, e.cx + dx
        e.cut_y, e.cut_x = dy, dx


@njit(cache=True, nogil=True)
def _offset(u: float, room: float, length: float, start: int, seam: int) -> float:
    slack = max(0.0, room - length)
    if seam:
        next_seam = -(-start // seam) * seam
        if next_seam <= start + room:
            wanted = next_seam - start - 0.5 * length + (u - 0.5) * _SEAM_JITTER_PX
            return float(min(max(wanted, 0.0), slack))
    return u * slack
