"""Seeds and basins of nuclei: what the instance and semantic modes and the training share.

has_votes            whether pixels vote for the centres of their nuclei: then no seeds are needed
seeds_of             the prompter's maps ► one seed for each nucleus
add_user_points      ... with the user's points instead of the seeds of the same nuclei
basins_of            a foreground and seeds ► a label map, by watershed; or by votes
add_unseeded_basins  ... one more seed for each basin that has none
split_foreground     a foreground and seeds, or votes ► nuclei with scores
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sac_wsi.model.points.instances import at_own_height, seeded_watershed
from sac_wsi.model.points.prompts import BOUNDARY, PROBABILITY_MAPS, nucleus_centres
from sac_wsi.model.points.votes import basins_of_votes, centres_of_votes, vote
from sac_wsi.nuclei.label_maps import label_centres, region_centres
from sac_wsi.nuclei.masks import nuclei_from_labels

if TYPE_CHECKING:
    from sac_wsi.model.checkpoint.inference import InferenceSettings, PixelSettings
    from sac_wsi.nuclei.columns import Nuclei

Probability = NDArray[np.float32]
_FOREGROUND = 0.5


def has_votes(maps: Probability | None) -> bool:
    """Return whether the maps have offsets, by which pixels vote for the centres of their nuclei."""
    return maps is not None and len(maps) > PROBABILITY_MAPS


def seeds_of(maps: Probability | None, settings: InferenceSettings) -> NDArray[np.int32]:
    """Return seeds (K, 2) y, x: one for each nucleus (three maps or more) or for each region (one map)."""
    if maps is None:
        return np.zeros((0, 2), np.int32)
    if has_votes(maps):
        threshold = settings.mask_probability * settings.faint_probability
        return centres_of_votes(vote(maps, maps[0] > threshold, settings.votes))
    if len(maps) == PROBABILITY_MAPS:
        return nucleus_centres(maps, settings.centres)
    return region_centres(maps[0] > settings.points.tau)


def add_user_points(
    seeds_yx: NDArray[np.int32], person_yx: NDArray[np.int32], maps: Probability | None
) -> NDArray[np.int32]:
    """Return the user's points (y, x), then the seeds that mark other nuclei.

    A seed and a point mark the same nucleus if one lies in the largest circle of foreground around the
    other.
    """
    if maps is None or not len(person_yx) or not len(seeds_yx):
        return np.concatenate([person_yx, seeds_yx])
    depth = ndimage.distance_transform_edt(np.pad(maps[0] > _FOREGROUND, 1))[1:-1, 1:-1]
    apart = np.linalg.norm(seeds_yx[:, None] - person_yx[None], axis=2)
    reach = np.maximum(
        depth[seeds_yx[:, 0], seeds_yx[:, 1]][:, None], depth[person_yx[:, 0], person_yx[:, 1]][None]
    )
    return np.concatenate([person_yx, seeds_yx[~(apart < reach).any(axis=1)]])


def basins_of(
    probability: Probability,
    maps: Probability | None,
    seeds_yx: NDArray[np.int32] | None,
    settings: PixelSettings,
    faint_probability: float = 1.0,
) -> NDArray[np.int32]:
    """Divide the foreground (h, w) into labels 1..n. Pieces that are too small are left out.

    Without seeds the votes of the pixels divide it, which needs five maps. With seeds there is one label for
    each seed or region, and they meet along the valleys of the boundary map if there is one.
    """
    foreground = probability > settings.mask_probability * faint_probability
    if seeds_yx is None:
        assert maps is not None
        return basins_of_votes(vote(maps, foreground, settings.votes), settings.min_area_px)
    return seeded_watershed(
        probability if maps is None or len(maps) == 1 else maps[BOUNDARY],
        foreground,
        seeds_yx,
        min_area_px=settings.min_area_px,
    )


def add_unseeded_basins(seeds_yx: NDArray[np.int32], basins: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the seeds (y, x), then the centres of the basins that hold no seed."""
    centres_yx, _ = label_centres(basins)
    seeded = np.zeros(len(centres_yx) + 1, bool)
    seeded[basins[seeds_yx[:, 0], seeds_yx[:, 1]]] = True
    return np.concatenate([seeds_yx, centres_yx[~seeded[1:]]])


def split_foreground(
    probability: Probability,
    maps: Probability | None,
    seeds_yx: NDArray[np.int32] | None,
    corner_yx: tuple[int, int],
    settings: PixelSettings,
) -> Nuclei:
    """Divide the foreground (h, w) into nuclei, in frame coordinates.

    The score of a nucleus is its mean probability. If it is in several pieces, the largest is its mask.
    """
    labels = basins_of(probability, maps, seeds_yx, settings, settings.faint_probability)
    labels = at_own_height(labels, probability, settings.mask_probability, settings.faint_probability)
    count = int(labels.max(initial=0))
    area = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    total = np.bincount(labels.ravel(), weights=probability.ravel(), minlength=count + 1)[1:]
    scores = (total / np.maximum(area, 1)).astype(np.float32)
    found = nuclei_from_labels(labels, corner_yx, scores)
    good = (found.score >= settings.min_probability) & (found.area_px >= settings.min_area_px)
    return found.take(good)
