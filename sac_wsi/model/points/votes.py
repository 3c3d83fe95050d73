"""Tell touching nuclei apart by votes: each pixel of the foreground votes for the centre of its nucleus.

    vote              offsets ► where each pixel votes, and the density of all votes
    basins_of_votes   ► a label map: pixels whose votes lie around one peak of the density are one nucleus
    centres_of_votes  ► one point for each of these peaks

A pixel says to which nucleus it belongs wherever it lies, so no line between two nuclei has to be found. The
density is the number of votes a pixel, smoothed; its square root is compared, because the number of votes for
a centre grows with the area of the nucleus.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from sac_wsi.model.points.peaks import peaks
from sac_wsi.model.points.prompts import PROBABILITY_MAPS
from sac_wsi.model.points.target_maps import OFFSET_PX
from sac_wsi.nuclei.label_maps import label_centres, largest_pieces
from sac_wsi.settings.checks import check_range

_STEPS = 1000  # heights per unit of the square root of the density
_LEAST_DENSITY = 0.3


@dataclass(frozen=True)
class VoteSettings:
    """Settings of the votes.

    smooth_px       standard deviation of the Gaussian that smooths the density
    min_prominence  two peaks are two nuclei if the square root of the density falls by at least this much
                    between them
    """

    smooth_px: float = 2.0
    min_prominence: float = 0.4

    def __post_init__(self) -> None:
        check_range("sac.votes.smooth_px", self.smooth_px, above=0)
        check_range("sac.votes.min_prominence", self.min_prominence, at_least=1 / _STEPS)


@dataclass(frozen=True)
class Votes:
    """The votes of the N pixels of a foreground.

    yx      (N, 2) the pixels that vote
    for_yx  (N, 2) the pixels that they vote for
    height  (h, w) square root of the density in whole steps: rounding must not decide what is a peak
    peaks   (h, w) labels 1..n of the peaks, 0 elsewhere
    """

    yx: NDArray[np.int64]
    for_yx: NDArray[np.int64]
    height: NDArray[np.int32]
    peaks: NDArray[np.int32]


def vote(maps: NDArray[np.float32], foreground: NDArray[np.bool_], settings: VoteSettings) -> Votes:
    """Return the votes of the foreground (h, w); ``maps`` (5, h, w) are the prompter's.

    The vote of a pixel counts as much as its probability of foreground. A vote beyond the map goes to its
    edge.
    """
    height, width = foreground.shape
    yx = np.argwhere(foreground)
    offsets = maps[PROBABILITY_MAPS:, yx[:, 0], yx[:, 1]].T * OFFSET_PX
    for_yx = np.clip(yx + np.rint(offsets).astype(np.int64), 0, (height - 1, width - 1))
    count = np.bincount(
        for_yx[:, 0] * width + for_yx[:, 1], maps[0, yx[:, 0], yx[:, 1]], minlength=height * width
    )
    density = ndimage.gaussian_filter(count.reshape(height, width), settings.smooth_px, mode="constant")
    steps = np.rint(np.sqrt(density) * _STEPS).astype(np.int32)
    tops = peaks(steps, density > _LEAST_DENSITY, round(settings.min_prominence * _STEPS))
    return Votes(yx, for_yx, steps, tops)


def basins_of_votes(votes: Votes, min_area_px: int) -> NDArray[np.int32]:
    """Return labels 1..n (h, w), each a 4-connected piece of at least ``min_area_px``.

    Pixels that vote for places around the same peak are one nucleus; of its pieces the largest is taken.
    """
    around = watershed(-votes.height, votes.peaks, mask=votes.height > 0)
    labels = np.zeros(votes.height.shape, np.int32)
    labels[votes.yx[:, 0], votes.yx[:, 1]] = around[votes.for_yx[:, 0], votes.for_yx[:, 1]]
    return largest_pieces(labels, min_area_px)


def centres_of_votes(votes: Votes) -> NDArray[np.int32]:
    """Return (K, 2) y, x: one pixel for each peak, in reading order."""
    centre_yx, _ = label_centres(votes.peaks)
    return centre_yx[np.lexsort((centre_yx[:, 1], centre_yx[:, 0]))]
