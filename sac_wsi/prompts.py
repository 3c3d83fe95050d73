"""Point prompts from maps, and the maps' geometry that they rest on.

    select            the paper's points: from one probability map, "O" centres of regions, "R" at random
    expert_points     points of a person, played by the ground truth
    nucleus_centres   one point for each nucleus, touching ones included, from three maps
    neighbours        the nearest other centres, to be the negative points of a nucleus

Two facts are shared with the training targets: where an object's centre is (``label_centres``) and how
deep a pixel lies in its object (``depth_px``). All positions are pixel indices of the tile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from sac_wsi.errors import ConfigError
from sac_wsi.peaks import peaks

MOST_POINTS = 256
"""Positive points, and again negative points, that a tile may have; the paper's Table 5 ends here too."""

WAYS = ("O", "R")

MAP_NAMES = ("foreground", "centre", "boundary")
BOUNDARY = MAP_NAMES.index("boundary")

# a small cutting of a map may hold any label of the whole map
_SPARE_LABELS = 1 << 20
_STEPS = 1000  # heights of the relief of centres per unit of probability
_LEAST_RISE = 1 / _STEPS
_SMOOTH_PX = 1.0  # what is no larger is noise of the maps, not a nucleus


@dataclass(frozen=True, eq=False)
class Points:
    """N point prompts of a tile.

    xy        (N, 2) pixel indices, x right, y down; SAM itself adds the half pixel to the pixel's centre
    positive  (N,)   True: "this is nucleus", False: "this is not"
    """

    xy: NDArray[np.float32]
    positive: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.xy)

    @classmethod
    def at(cls, yx: NDArray[np.integer], positive: bool) -> Points:
        """All positive or all negative points at (N, 2) pixels y, x.

        >>> Points.at(np.array([[3, 7]]), True).xy.tolist()
        [[7.0, 3.0]]
        """
        return cls(np.ascontiguousarray(yx[:, ::-1], np.float32), np.full(len(yx), positive))

    def concat(self, other: Points) -> Points:
        """These points, then the other's."""
        return Points(
            np.concatenate([self.xy, other.xy]),
            np.concatenate([self.positive, other.positive]),
        )


@dataclass(frozen=True)
class PointSettings:
    """The points of ``select``.

    way       "O": centres of connected regions, the largest first; "R": random pixels
    tau       a pixel counts above this probability; below 0.5 it may count as nucleus and as background
    positive  most points on nuclei
    negative  most points on background
    seed      of the random generator that the caller makes
    """

    way: str = "O"
    tau: float = 0.5
    positive: int = 64
    negative: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.way not in WAYS:
            raise ConfigError(
                f"sac.points.way is {self.way!r}: needed {' or '.join(WAYS)}. Set sac.points.way=O."
            )
        _check_threshold("sac.points.tau", self.tau)
        for name in ("positive", "negative"):
            count = getattr(self, name)
            if not 0 <= count <= MOST_POINTS:
                raise ConfigError(
                    f"sac.points.{name} is {count}: needed 0 to {MOST_POINTS}. Set "
                    f"sac.points.{name}={MOST_POINTS}."
                )
        if self.seed < 0:
            raise ConfigError(f"sac.points.seed is {self.seed}: needed 0 or more. Set sac.points.seed=0.")


@dataclass(frozen=True)
class CentreSettings:
    """From three maps to one centre for each nucleus.

    foreground  a centre lies where that map is above this
    rise        the mean of the other two maps falls at least so far from one nucleus's centre on the way to
                the next: less finds more nuclei in a clump, and more that are parts of one
    """

    foreground: float = 0.5
    rise: float = 0.07

    def __post_init__(self) -> None:
        _check_threshold("sac.centres.foreground", self.foreground)
        if not _LEAST_RISE <= self.rise <= 1:
            raise ConfigError(
                f"sac.centres.rise is {self.rise}: needed {_LEAST_RISE} to 1. Set sac.centres.rise=0.07."
            )


def _check_threshold(name: str, value: float) -> None:
    if not (math.isfinite(value) and 0 <= value < 1):
        raise ConfigError(f"{name} is {value}: needed a probability from 0 to below 1. Set {name}=0.5.")


# --- points --------------------------------------------------------------------------------------


def select(prob: NDArray[np.float32], settings: PointSettings, rng: np.random.Generator) -> Points:
    """Positive points where ``prob`` (h, w) is above tau, then negative ones where 1 - prob is.

    ``prob`` is the sigmoid of the prompter's foreground map. There are fewer points than asked for where
    there are fewer regions ("O") or pixels ("R").
    """
    nucleus, background = prob > settings.tau, 1 - prob > settings.tau
    positive = Points.at(_spots(nucleus, settings.way, settings.positive, rng), True)
    negative = Points.at(_spots(background, settings.way, settings.negative, rng), False)
    return positive.concat(negative)


def _spots(mask: NDArray[np.bool_], way: str, most: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """(N, 2) y, x; at most ``most`` of the mask."""
    if most == 0:
        return np.zeros((0, 2), np.int32)
    if way == "O":
        return region_centres(mask)[:most]
    return random_pixels(mask, most, rng)


def random_pixels(mask: NDArray[np.bool_], most: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """(N, 2) y, x; distinct."""
    inside = np.flatnonzero(mask)
    chosen = rng.choice(inside, min(most, len(inside)), replace=False)
    return _yx(chosen, mask.shape[1])


def expert_points(labels: NDArray[np.integer], count: int, rng: np.random.Generator) -> Points:
    """``count`` positive points in the nuclei of a label map (h, w), as a person would set them.

    Each nucleus, in random order, has one before any has two. The points of a nucleus are distinct: first
    pixels of its inner half (more than half as deep as its deepest), then the others, each at random.
    """
    labels = sequential(labels)
    flat, owner = object_pixels(labels)
    nuclei = int(owner.max()) + 1 if len(owner) else 0
    turn = rng.permutation(nuclei)  # the turn of each nucleus
    if count < nuclei:
        asked = turn[owner] < count
        flat, owner = flat[asked], owner[asked]
    outer = share_of_most(depth_px(labels).ravel()[flat], owner, nuclei) <= 0.5
    order = np.lexsort((rng.random(len(flat)), outer, turn[owner]))
    turns = turn[owner][order]
    points_before = np.arange(len(order)) - np.searchsorted(turns, turns)  # that the pixel's nucleus has
    chosen = order[np.argsort(points_before, kind="stable")[:count]]
    return Points.at(_yx(flat[chosen], labels.shape[1]), True)


def nucleus_centres(maps: NDArray[np.float32], settings: CentreSettings) -> NDArray[np.int32]:
    """(K, 2) y, x: one pixel for each nucleus, in reading order.

    ``maps`` (3, h, w) in 0..1 are foreground, centre and boundary, all high in the middle of a nucleus
    (``sac_wsi.target_maps``). The last two fall between nuclei that touch: each of their peaks is one.
    """
    foreground, centre, boundary = maps
    relief = ndimage.gaussian_filter((centre + boundary) / 2, _SMOOTH_PX, mode="nearest")
    # whole steps: rounding in the last digit must not decide what is a peak
    height = np.rint(relief * _STEPS).astype(np.int32)
    tops = peaks(height, foreground > settings.foreground, round(settings.rise * _STEPS))
    centre_yx, _ = label_centres(tops)
    return centre_yx[np.lexsort((centre_yx[:, 1], centre_yx[:, 0]))]


def neighbours(yx: NDArray[np.integer], k: int) -> NDArray[np.int32]:
    """(K, k) positions in ``yx`` (K, 2) of the k nearest others, the nearest first; -1 where there are fewer.

    Of centres equally far away the first in the list comes first.

    >>> neighbours(np.array([[0, 0], [0, 5], [0, 1]]), 3).tolist()
    [[2, 1, -1], [2, 0, -1], [0, 1, -1]]
    """
    count = len(yx)
    found = np.full((count, k), -1, np.int32)
    near = min(k, count - 1)
    if near < 1:
        return found
    yx = np.asarray(yx, np.int64)
    tree = cKDTree(yx)
    farthest = np.asarray(tree.query(yx, [near + 1])[0])[:, 0]
    # the tree breaks ties as it happens to be built: take all that tie for the last place, then sort.
    # Squared distances are whole numbers, so half a square more than the last takes the ties and no other
    reach = np.sqrt(np.rint(farthest**2) + 0.5)
    most = int(np.max(tree.query_ball_point(yx, reach, return_length=True)))
    others = np.asarray(tree.query(yx, np.arange(1, most + 1))[1])
    far = ((yx[others] - yx[:, None]) ** 2).sum(axis=2)
    far[others == np.arange(count)[:, None]] = np.iinfo(np.int64).max  # itself comes last
    order = np.lexsort((others, far), axis=1)[:, :near]
    found[:, :near] = np.take_along_axis(others, order, axis=1)
    return found


# --- objects of a map ----------------------------------------------------------------------------


def region_centres(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(K, 2) y, x: the centres of the 4-connected regions, the largest first, equals in reading order.

    >>> region_centres(np.array([[1, 0, 1, 1], [0, 0, 1, 1]], bool)).tolist()
    [[1, 3], [0, 0]]
    """
    regions, _ = ndimage.label(mask)
    centre_yx, area_px = label_centres(regions)
    return centre_yx[np.lexsort((centre_yx[:, 1], centre_yx[:, 0], -area_px))]


def label_centres(labels: NDArray[np.integer]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Centre (n, 2) y, x and area in pixels (n,) of the labels 1..n; none may be missing.

    The centre is the centroid, rounded with whole numbers (halves go up, as a nucleus's anchor does), or
    where that is no pixel of the object, the object's pixel nearest to it, of equals the first in reading
    order.
    """
    flat, owner = object_pixels(labels)
    y, x = np.divmod(flat, labels.shape[1])
    area = np.bincount(owner)
    # sums of whole numbers below 2^53 are exact in float64
    total = np.column_stack([np.bincount(owner, y), np.bincount(owner, x)]).astype(np.int64)
    centre = (2 * total + area[:, None]) // (2 * area[:, None])
    _move_inside(centre, labels, flat, owner)
    return centre.astype(np.int32), area


def _move_inside(
    centre_yx: NDArray[np.int64],
    labels: NDArray[np.integer],
    flat: NDArray[np.int64],
    owner: NDArray[np.int64],
) -> None:
    outside = labels[centre_yx[:, 0], centre_yx[:, 1]] != np.arange(1, len(centre_yx) + 1)
    theirs = outside[owner]
    flat, owner = flat[theirs], owner[theirs]
    y, x = np.divmod(flat, labels.shape[1])
    far = (y - centre_yx[owner, 0]) ** 2 + (x - centre_yx[owner, 1]) ** 2
    nearest = np.full(len(centre_yx), np.iinfo(np.int64).max)
    np.minimum.at(nearest, owner, far)
    candidates = np.flatnonzero(far == nearest[owner])[::-1]
    # backwards, and the last assignment holds: the first in reading order
    centre_yx[owner[candidates]] = _yx(flat[candidates], labels.shape[1])


def depth_px(labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """(h, w) how deep each pixel lies in its object: 1 on border pixels, and from there on the distance to
    the object's nearest border pixel more; 0 on the background.

    A border pixel has a 4-neighbour outside its object: background, a touching object, or beyond the map.

    >>> depth_px(np.array([[1, 1, 1, 2, 0], [1, 1, 1, 2, 0], [1, 1, 1, 2, 0]])).astype(int).tolist()
    [[1, 1, 1, 1, 0], [1, 2, 1, 1, 0], [1, 1, 1, 1, 0]]
    """
    height, width = labels.shape
    around = np.pad(labels, 1)  # beyond the map is background
    objects = labels != 0
    inner = objects.copy()
    for dy, dx in ((0, 1), (1, 0), (1, 2), (2, 1)):
        inner &= around[dy : dy + height, dx : dx + width] == labels
    # One transform serves all objects: a staircase from a pixel to a border pixel of another object passes
    # a border pixel of its own object, and each of its steps is farther away than the one before.
    depth: NDArray[np.float64] = ndimage.distance_transform_edt(inner) + objects
    return depth


def share_of_most(values: NDArray[np.floating], owner: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Each value, 0 or more, as a part of the largest of its owner 0..count-1; 0 where that is 0."""
    most = np.zeros(count)
    np.maximum.at(most, owner, values)
    most[most == 0] = 1
    share: NDArray[np.float64] = values / most[owner]
    return share


def sequential(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """The same objects as 1..n without gaps, by rising label.

    >>> sequential(np.array([[0, 7, 7, 3]])).tolist()
    [[0, 2, 2, 1]]
    """
    lowest, highest = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if lowest < 0 or highest > labels.size + _SPARE_LABELS:
        raise ValueError(
            f"labels run from {lowest} to {highest} in a map of {labels.size} pixels, needed 0 (background) "
            "and 1..n: pass skimage.segmentation.relabel_sequential(labels)[0]"
        )
    present = np.zeros(highest + 1, bool)
    present[labels.ravel()] = True
    present[0] = False
    number = np.where(present, np.cumsum(present), 0).astype(np.int32)
    renumbered: NDArray[np.int32] = number[labels]
    return renumbered


def object_pixels(labels: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each object pixel, in reading order: its position in the flat map and its label less one."""
    flat = np.flatnonzero(labels)
    return flat, labels.ravel()[flat].astype(np.int64) - 1


def _yx(flat: NDArray[np.int64], width: int) -> NDArray[np.int32]:
    return np.column_stack(np.divmod(flat, width)).astype(np.int32)
