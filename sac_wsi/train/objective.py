"""What one batch teaches: maps to the prompter, masks to the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sac_wsi.model.sac import SacModel, to_tile
from sac_wsi.prompts import expert_points, random_pixels
from sac_wsi.target_maps import target_maps
from sac_wsi.train.config import ObjectiveSettings
from sac_wsi.train.losses import dice_ce_as_printed, dice_ce_loss, prompter_loss, sam_loss

_MASK_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "focal_dice": sam_loss,
    "dice_ce": dice_ce_loss,
    "dice_ce_as_printed": dice_ce_as_printed,
}


@dataclass(frozen=True)
class Lesson:
    """A batch, ready for the model; made by the loader's threads.

    pixels     (B, tile, tile, 3) uint8
    maps       (B, 1 or 3, tile, tile) targets of the prompter
    xy         (B, N, 2) points of the semantic mask, labels (B, N); -1 where there are fewer
    owner      (K,) which image each single nucleus is of; centre_xy (K, 1, 2) its prompt
    nucleus    (K, tile, tile) bool, its mask
    """

    pixels: Tensor
    maps: Tensor
    xy: Tensor
    labels: Tensor
    owner: Tensor
    centre_xy: Tensor
    nucleus: Tensor


def make_lesson(
    crops: list[tuple[NDArray[np.uint8], NDArray[np.int32]]],
    maps: int,
    points: int,
    rng: np.random.Generator,
) -> Lesson:
    count, side = len(crops), crops[0][0].shape[0]
    xy, labels = np.zeros((count, 2 * points, 2), np.float32), np.full((count, 2 * points), -1, np.int64)
    owner: list[int] = []
    centres: list[NDArray[np.float32]] = []
    nuclei = [np.zeros((0, side, side), np.bool_)]
    for i, (_, truth) in enumerate(crops):
        here = expert_points(truth, points, rng)
        xy[i, : len(here)], labels[i, : len(here)] = here.xy, 1
        background = random_pixels(truth == 0, points, rng)[:, ::-1]
        xy[i, points : points + len(background)], labels[i, points : points + len(background)] = background, 0
        some = expert_points(truth, points, rng).xy.astype(int)
        owner += [i] * len(some)
        centres += [point.astype(np.float32) for point in some]
        nuclei.append(truth[None] == truth[some[:, 1], some[:, 0]][:, None, None])
    targets = np.stack([target_maps(truth)[:maps] for _, truth in crops])
    return Lesson(
        pixels=torch.from_numpy(np.stack([rgb for rgb, _ in crops])),
        maps=torch.from_numpy(targets),
        xy=torch.from_numpy(xy),
        labels=torch.from_numpy(labels),
        owner=torch.tensor(owner, dtype=torch.long),
        centre_xy=torch.from_numpy(np.array(centres, np.float32).reshape(-1, 1, 2)),
        nucleus=torch.from_numpy(np.concatenate(nuclei)),
    )


def loss_of(model: SacModel, lesson: Lesson, settings: ObjectiveSettings) -> dict[str, Tensor]:
    """Named terms; their sum is what is learnt. ``lesson`` is on the model's device."""
    images = model.normalise(lesson.pixels.permute(0, 3, 1, 2))
    terms: dict[str, Tensor] = {}
    if settings.part in ("prompter", "both"):
        terms["maps"] = prompter_loss(model.maps(images), lesson.maps)
    if settings.part in ("sac", "both"):
        terms |= _mask_terms(model, images, lesson, _MASK_LOSSES[settings.mask_loss])
    return terms


def _mask_terms(
    model: SacModel, images: Tensor, lesson: Lesson, mask_loss: Callable[[Tensor, Tensor], Tensor]
) -> dict[str, Tensor]:
    side = model.size.tile_px
    embedding = model.encode(images)
    masks, _ = model.decode(embedding, lesson.xy, lesson.labels)
    terms = {"semantic": mask_loss(to_tile(masks[:, :1], side), lesson.maps[:, :1])}
    if len(lesson.owner):
        ones = torch.ones(len(lesson.owner), 1, device=images.device)
        masks, iou = model.decode(embedding[lesson.owner], lesson.centre_xy, ones)
        found, truth = to_tile(masks[:, :1], side), lesson.nucleus[:, None].float()
        terms["instance"] = mask_loss(found, truth)
        terms["iou"] = (iou[:, :1].float() - _overlap(found, truth)).square().mean()
    return terms


def _overlap(logits: Tensor, truth: Tensor) -> Tensor:
    """(K, 1) intersection over union of the masks as they are now: what the score should say."""
    with torch.no_grad():
        found, there = logits > 0, truth > 0
        both = (found & there).sum(dim=(2, 3))
        either = (found | there).sum(dim=(2, 3))
        return both / either.clamp(min=1)
