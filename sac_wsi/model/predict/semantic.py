"""One foreground mask for a tile, as in the paper, and nuclei out of it by watershed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from sac_wsi.model.points.instances import at_own_height, seeded_watershed
from sac_wsi.model.points.prompts import BOUNDARY, Points, nucleus_centres
from sac_wsi.model.predict.features import Features, Runner, foreground_logits
from sac_wsi.nuclei.label_maps import label_centres, region_centres
from sac_wsi.nuclei.masks import nuclei_from_labels

if TYPE_CHECKING:
    from sac_wsi.model.checkpoint.inference import InferenceSettings
    from sac_wsi.nuclei.columns import Nuclei

Probability = NDArray[np.float32]
_FOREGROUND = 0.5


def semantic_probability(runner: Runner, features: Features, points: Points) -> Probability:
    """(tile, tile), from all points in one decoder call; without points the decoder answers on its own."""
    model = runner.model
    assert features.embedding is not None
    prompter_logits = foreground_logits(runner, features)
    with torch.inference_mode(), runner.arithmetic():
        xy = torch.from_numpy(points.xy).to(runner.device)[None]
        labels = torch.from_numpy(points.positive.astype(np.int64)).to(runner.device)[None]
        probability: Probability = (
            model.semantic(features.embedding, xy, labels, prompter_logits).sigmoid()[0, 0].cpu().numpy()
        )
    return probability


def seeds_of(maps: Probability | None, settings: InferenceSettings) -> NDArray[np.int32]:
    """(K, 2) y, x: one for each nucleus where the prompter has the maps to tell them apart."""
    if maps is None:
        return np.zeros((0, 2), np.int32)
    if len(maps) == 3:
        return nucleus_centres(maps, settings.centres)
    return region_centres(maps[0] > settings.points.tau)


def with_persons(
    seeds_yx: NDArray[np.int32], person_yx: NDArray[np.int32], maps: Probability | None
) -> NDArray[np.int32]:
    """Join the user's points and those points of the prompter that mark other nuclei.

    One within the largest circle round either point that is foreground throughout means the same.
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
    seeds_yx: NDArray[np.int32],
    settings: InferenceSettings,
    mpp: float,
    faint_probability: float = 1.0,
) -> NDArray[np.int32]:
    """Cut the foreground (h, w) into nuclei 1..n, along the valleys of the boundary map if there is one."""
    return seeded_watershed(
        probability if maps is None or len(maps) == 1 else maps[BOUNDARY],
        probability > settings.mask_probability * faint_probability,
        seeds_yx,
        min_area_px=_least_area_px(settings, mpp),
    )


def with_unseeded(seeds_yx: NDArray[np.int32], basins: NDArray[np.int32]) -> NDArray[np.int32]:
    """Append the centres of the basins without a seed to the seeds."""
    centres_yx, _ = label_centres(basins)
    seeded = np.zeros(len(centres_yx) + 1, bool)
    seeded[basins[seeds_yx[:, 0], seeds_yx[:, 1]]] = True
    return np.concatenate([seeds_yx, centres_yx[~seeded[1:]]])


def split(
    probability: Probability,
    maps: Probability | None,
    seeds_yx: NDArray[np.int32],
    corner_yx: tuple[int, int],
    settings: InferenceSettings,
    mpp: float,
) -> Nuclei:
    """Nuclei of the foreground, in frame coordinates; the score is the mean probability in the label.

    Of a label in pieces the largest is the mask.
    """
    labels = basins_of(probability, maps, seeds_yx, settings, mpp, settings.faint_probability)
    labels = at_own_height(labels, probability, settings.mask_probability, settings.faint_probability)
    count = int(labels.max(initial=0))
    area = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    total = np.bincount(labels.ravel(), weights=probability.ravel(), minlength=count + 1)[1:]
    scores = (total / np.maximum(area, 1)).astype(np.float32)
    found = nuclei_from_labels(labels, corner_yx, scores)
    good = (found.score >= settings.min_probability) & (found.area_px >= _least_area_px(settings, mpp))
    return found.take(good)


def _least_area_px(settings: InferenceSettings, mpp: float) -> int:
    return max(1, round(settings.min_area_um2 / mpp**2))
