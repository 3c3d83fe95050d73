"""Choose point prompts from maps.

    select            the paper's points, from one probability map: "O" centres of regions, "R" at random
    expert_points     simulated points of a person, from the ground truth
    nucleus_centres   one point for each nucleus, touching ones included, from three maps
    neighbours        the nearest other centres, as negative points of a nucleus

The training targets use the same centre of an object (``label_centres``) and the same depth of a pixel
(``depth_px``). All positions are pixel indices of the tile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from sac_wsi.errors import ConfigError
from sac_wsi.model.points.peaks import peaks
from sac_wsi.nuclei.label_maps import (
    depth_px,
    label_centres,
    object_pixels,
    pixels_yx,
    region_centres,
    sequential,
    share_of_most,
)
from sac_wsi.settings.checks import check_range

MOST_POINTS = 256
"""Most positive points of a tile, and most negative points; also the most in the paper's Table 5."""

MODES = ("O", "R")

PROBABILITY_MAPS = 3
"""Foreground, centre, boundary; other maps of a prompter are no probabilities."""
BOUNDARY = 2

_STEPS = 1000  # heights of the relief of centres per unit of probability
_LEAST_PROMINENCE = 1 / _STEPS
_SMOOTH_PX = 1.0  # smaller structures are noise of the maps


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
        """Return all positive or all negative points at (N, 2) pixels y, x.

        >>> Points.at(np.array([[3, 7]]), True).xy.tolist()
        [[7.0, 3.0]]
        """
        return cls(np.ascontiguousarray(yx[:, ::-1], np.float32), np.full(len(yx), positive))

    def concat(self, other: Points) -> Points:
        """Append the other's points to these."""
        return Points(
            np.concatenate([self.xy, other.xy]),
            np.concatenate([self.positive, other.positive]),
        )


@dataclass(frozen=True)
class PointSettings:
    """Settings of ``select``.

    mode      "O": centres of connected regions, the largest first; "R": random pixels
    tau       a pixel counts above this probability; with a value below 0.5 a pixel can count as both
    positive  largest number of points on nuclei
    negative  largest number of points on background
    seed      seed of the random numbers
    """

    mode: str = "O"
    tau: float = 0.5
    positive: int = 64
    negative: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(
                f"sac.points.mode is {self.mode!r}: needed {' or '.join(MODES)}. Set sac.points.mode=O."
            )
        check_range("sac.points.tau", self.tau, at_least=0, below=1)
        for name in ("positive", "negative"):
            check_range(f"sac.points.{name}", getattr(self, name), at_least=0, at_most=MOST_POINTS)
        check_range("sac.points.seed", self.seed, at_least=0)


@dataclass(frozen=True)
class CentreSettings:
    """Settings of ``nucleus_centres``.

    foreground      a centre lies where the foreground map is above this probability
    min_prominence  the mean of the other two maps falls by at least this much between one nucleus's centre
                    and the next. A smaller value finds more nuclei in a clump, and splits more nuclei
    """

    foreground: float = 0.5
    min_prominence: float = 0.07

    def __post_init__(self) -> None:
        check_range("sac.centres.foreground", self.foreground, at_least=0, below=1)
        check_range("sac.centres.min_prominence", self.min_prominence, at_least=_LEAST_PROMINENCE, at_most=1)


# --- points --------------------------------------------------------------------------------------


def select(prob: NDArray[np.float32], settings: PointSettings, rng: np.random.Generator) -> Points:
    """Return positive points where ``prob`` (h, w) is above tau, then negative ones where 1 - prob is.

    ``prob`` is the sigmoid of the prompter's foreground map. There are fewer points than asked for where
    there are fewer regions ("O") or pixels ("R").
    """
    nucleus, background = prob > settings.tau, 1 - prob > settings.tau
    positive = Points.at(_spots(nucleus, settings.mode, settings.positive, rng), True)
    negative = Points.at(_spots(background, settings.mode, settings.negative, rng), False)
    return positive.concat(negative)


def _spots(mask: NDArray[np.bool_], mode: str, most: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Return (N, 2) y, x; at most ``most`` points of the mask."""
    if most == 0:
        return np.zeros((0, 2), np.int32)
    if mode == "O":
        return region_centres(mask)[:most]
    return random_pixels(mask, most, rng)


def random_pixels(mask: NDArray[np.bool_], most: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Return at most ``most`` distinct pixels of the mask as (N, 2) y, x."""
    inside = np.flatnonzero(mask)
    chosen = rng.choice(inside, min(most, len(inside)), replace=False)
    return pixels_yx(chosen, mask.shape[1])


def expert_points(labels: NDArray[np.integer], count: int, rng: np.random.Generator) -> Points:
    """Return ``count`` positive points in the nuclei of a label map (h, w), as a person would set them.

    Nuclei are in random order, and each gets its first point before any gets a second. The points of a
    nucleus are distinct: first random pixels of its inner half (more than half as deep as its deepest pixel),
    then random other pixels.
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
    return Points.at(pixels_yx(flat[chosen], labels.shape[1]), True)


def nucleus_centres(maps: NDArray[np.float32], settings: CentreSettings) -> NDArray[np.int32]:
    """Return (K, 2) y, x: one pixel for each nucleus, in reading order.

    The first three of ``maps`` (M, h, w) are foreground, centre and boundary, in 0..1, all high in the middle
    of a nucleus (``sac_wsi.model.points.target_maps``). Centre and boundary fall between nuclei that touch:
    each of their peaks is one nucleus.
    """
    foreground, centre, boundary = maps[:PROBABILITY_MAPS]
    relief = ndimage.gaussian_filter((centre + boundary) / 2, _SMOOTH_PX, mode="nearest")
    # whole steps: rounding in the last digit must not decide what is a peak
    height = np.rint(relief * _STEPS).astype(np.int32)
    tops = peaks(height, foreground > settings.foreground, round(settings.min_prominence * _STEPS))
    centre_yx, _ = label_centres(tops)
    return centre_yx[np.lexsort((centre_yx[:, 1], centre_yx[:, 0]))]


def neighbours(yx: NDArray[np.integer], k: int) -> NDArray[np.int32]:
    """Return (K, k) positions in ``yx`` (K, 2) of the k nearest others, the nearest first; -1: no more.

    Of centres at the same distance the first in the list comes first.

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
    # the tree orders ties by chance: take all centres that tie for the last place, then sort. Squared
    # distances are whole numbers, so a radius of the last one plus 0.5 includes the ties and nothing else
    reach = np.sqrt(np.rint(farthest**2) + 0.5)
    most = int(np.max(tree.query_ball_point(yx, reach, return_length=True)))
    others = np.asarray(tree.query(yx, np.arange(1, most + 1))[1])
    far = ((yx[others] - yx[:, None]) ** 2).sum(axis=2)
    far[others == np.arange(count)[:, None]] = np.iinfo(np.int64).max  # itself comes last
    order = np.lexsort((others, far), axis=1)[:, :near]
    found[:, :near] = np.take_along_axis(others, order, axis=1)
    return found
