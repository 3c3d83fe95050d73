"""Compute the terms of the loss of one batch: maps for the prompter, masks for the rest."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sac_wsi.model.nets.decode import decode_locally, embed_prompts, window_corners, windows
from sac_wsi.model.nets.over_prompter import cut, mask_prompt, nucleus_prior
from sac_wsi.model.nets.sac import SacModel, TileFeatures, cell_px, to_tile
from sac_wsi.model.points.prompts import PROBABILITY_MAPS, PointSettings, expert_points, select
from sac_wsi.model.points.target_maps import target_maps
from sac_wsi.train.losses import (
    dice_ce_as_printed,
    dice_ce_loss,
    dice_loss,
    forgiven,
    offset_loss,
    prompter_loss,
    sam_loss,
)
from sac_wsi.train.nucleus_prompts import sample_nucleus_prompts

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sac_wsi.model.checkpoint.inference import PixelSettings
    from sac_wsi.train.config import ObjectiveSettings

_MASK_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "focal_dice": sam_loss,
    "dice_ce": dice_ce_loss,
    "dice_ce_as_printed": dice_ce_as_printed,
}


@dataclass(frozen=True)
class TrainingBatch:
    """A batch of B crops, ready for the model; the threads of the loader make it.

    Attributes:
        pixels: (B, side, side, 3) uint8.
        labels: (B, side, side) the true nuclei.
        maps: (B, 1, 3 or 5, side, side) targets of the prompter.
        expert_xy: (B, E, 2) points of the semantic mask from the true labels.
        experts: (B, E) 1, or -1 where there is no such point.
        owner: (K,) index of the crop of each single nucleus.
        centre_xy: (K, 1, 2) point prompt of each single nucleus.
        nucleus: (K, side, side) bool, mask of each single nucleus.
        seed: Seed of the choice of the prompter's points.
    """

    pixels: Tensor
    labels: Tensor
    maps: Tensor
    expert_xy: Tensor
    experts: Tensor
    owner: Tensor
    centre_xy: Tensor
    nucleus: Tensor
    seed: Tensor


def make_training_batch(
    crops: list[tuple[NDArray[np.uint8], NDArray[np.int32]]],
    maps: int,
    experts: int,
    nuclei: int,
    rng: np.random.Generator,
) -> TrainingBatch:
    """Return the batch of these crops.

    Args:
        crops: Pixels (side, side, 3) and labels (side, side) of each crop.
        maps: Number of target maps, 1, 3 or 5.
        experts: Expert points of each crop.
        nuclei: Single nuclei of each crop.
        rng: Source of all random numbers.
    """
    count, side = len(crops), crops[0][0].shape[0]
    expert_xy, expert = np.zeros((count, experts, 2), np.float32), np.full((count, experts), -1, np.int64)
    owner: list[int] = []
    centres = [np.zeros((0, 2), np.float32)]
    masks = [np.zeros((0, side, side), np.bool_)]
    for i, (_, truth) in enumerate(crops):
        if experts:
            here = expert_points(truth, experts, rng).xy
            expert_xy[i, : len(here)], expert[i, : len(here)] = here, 1
        if nuclei:
            some = expert_points(truth, nuclei, rng).xy
            x, y = some.astype(int).T
            owner += [i] * len(some)
            centres.append(some)
            masks.append(truth[None] == truth[y, x][:, None, None])
    return TrainingBatch(
        pixels=torch.from_numpy(np.stack([rgb for rgb, _ in crops])),
        labels=torch.from_numpy(np.stack([truth for _, truth in crops])),
        maps=torch.from_numpy(np.stack([_targets(truth, maps) for _, truth in crops])),
        expert_xy=torch.from_numpy(expert_xy),
        experts=torch.from_numpy(expert),
        owner=torch.tensor(owner, dtype=torch.long),
        centre_xy=torch.from_numpy(np.concatenate(centres)[:, None]),
        nucleus=torch.from_numpy(np.concatenate(masks)),
        seed=torch.tensor(int(rng.integers(1 << 31))),
    )


def _targets(truth: NDArray[np.int32], maps: int) -> NDArray[np.float32]:
    """Return the target maps (maps, h, w); the slow maps of depth and centres only if they are needed."""
    return (truth > 0).astype(np.float32)[None] if maps == 1 else target_maps(truth, offsets=maps == 5)


def loss_of(
    model: SacModel, batch: TrainingBatch, settings: ObjectiveSettings, use: PixelSettings
) -> dict[str, Tensor]:
    """Return the terms of the loss by name; their sum is minimised.

    Args:
        model: The model to train.
        batch: The crops, on the device of the model.
        settings: Which part of the model is trained, and with which losses.
        use: How the model is prompted at inference: by which points, on which windows.
    """
    images = model.normalise(batch.pixels.permute(0, 3, 1, 2))
    features = _forward_features(model, images, settings)
    terms: dict[str, Tensor] = {}
    if settings.part != "sac":
        assert features.prompter_logits is not None
        maps = features.prompter_logits[:, :PROBABILITY_MAPS]
        truth = forgiven(maps, batch.maps[:, :PROBABILITY_MAPS], settings.forgive_above)
        terms["maps"] = prompter_loss(maps, truth)
        if features.prompter_logits.shape[1] > PROBABILITY_MAPS:
            offsets = features.prompter_logits[:, PROBABILITY_MAPS:]
            terms["offsets"] = offset_loss(offsets, batch.maps[:, PROBABILITY_MAPS:], batch.maps[:, :1])
        if settings.map_loss == "bce_dice":
            terms["maps_dice"] = dice_loss(maps[:, :1], truth[:, :1])
    if settings.part != "prompter":
        assert features.embedding is not None
        mask_loss = _MASK_LOSSES[settings.mask_loss]
        xy, labels = _prompts(features.prompter_logits if settings.auto else None, batch, use.points)
        prompter_logits = (
            features.prompter_logits[:, 0]
            if features.prompter_logits is not None and model.size.over_prompter
            else None
        )
        terms["semantic"] = mask_loss(
            model.semantic(features.embedding, xy, labels, prompter_logits), batch.maps[:, :1]
        )
        if model.size.over_prompter:
            terms |= _prompted_nucleus_terms(model, features, batch, settings, use)
        elif len(batch.owner):
            terms |= _nucleus_terms(model, features.embedding, batch, use.window_cells, mask_loss)
    return terms


def _forward_features(model: SacModel, images: Tensor, settings: ObjectiveSettings) -> TileFeatures:
    if settings.part == "sac" and not settings.auto and not model.size.over_prompter:
        return TileFeatures(model.encode(images), None)
    return model.forward_features(images, embed=settings.part != "prompter")


def _prompts(maps: Tensor | None, batch: TrainingBatch, points: PointSettings) -> tuple[Tensor, Tensor]:
    """Return the points (B, N, 2) of the semantic mask and their labels (B, N): prompter's and experts'."""
    if maps is None:
        return batch.expert_xy, batch.experts
    probability = maps[:, 0].detach().float().sigmoid().cpu().numpy()
    most = points.positive + points.negative
    xy = np.zeros((len(probability), most, 2), np.float32)
    labels = np.full((len(probability), most), -1, np.int64)
    rng = np.random.default_rng(int(batch.seed))
    for i, one in enumerate(probability):
        found = select(one, points, rng)
        xy[i, : len(found)], labels[i, : len(found)] = found.xy, found.positive
    # as at inference, there are only as many tokens as points
    used = int((labels >= 0).sum(axis=1).max(initial=0))
    xy, labels = xy[:, :used], labels[:, :used]
    device = batch.expert_xy.device
    auto_xy, auto = torch.from_numpy(xy).to(device), torch.from_numpy(labels).to(device)
    return torch.cat([auto_xy, batch.expert_xy], 1), torch.cat([auto, batch.experts], 1)


def _nucleus_terms(
    model: SacModel,
    embedding: Tensor,
    batch: TrainingBatch,
    window_cells: int,
    mask_loss: Callable[[Tensor, Tensor], Tensor],
) -> dict[str, Tensor]:
    """Return the terms of single nuclei, each on the window of the embedding on which it is decoded."""
    masks = _decode_prompts(model, embedding, batch.owner, batch.centre_xy, window_cells)
    each = torch.arange(len(batch.owner), device=embedding.device)
    truth = windows(batch.nucleus[:, None], each, masks.corners_px, masks.side_px).float()
    return {
        "instance": mask_loss(masks.logits, truth),
        "iou": (masks.iou - _overlap(masks.logits, truth)).square().mean(),
    }


@dataclass(frozen=True)
class _PromptedMasks:
    """Masks of K prompts: ``logits`` (K, 1, side, side) on windows, and their predicted ``iou`` (K, 1)."""

    logits: Tensor
    iou: Tensor
    corners_px: Tensor
    side_px: int


def _decode_prompts(
    model: SacModel,
    embedding: Tensor,
    owner: Tensor,
    centre_xy: Tensor,
    window_cells: int,
    mask_logits: Tensor | None = None,
) -> _PromptedMasks:
    assert model.prompt_encoder is not None
    assert model.mask_decoder is not None
    cell, cells = cell_px(model.size), embedding.shape[-1]
    window = min(window_cells or cells, cells)
    corners = window_corners(centre_xy[:, 0], cell, (cells, cells), window)
    ones = torch.ones(len(owner), 1, device=embedding.device)
    prompted = embed_prompts(model.prompt_encoder, centre_xy, ones, mask_logits=mask_logits)
    masks, iou = decode_locally(
        model.mask_decoder, embedding, owner, model.position(), prompted, corners, window
    )
    return _PromptedMasks(
        to_tile(masks[:, :1], window * cell), iou[:, :1].float(), corners * cell, window * cell
    )


def _prompted_nucleus_terms(
    model: SacModel,
    features: TileFeatures,
    batch: TrainingBatch,
    settings: ObjectiveSettings,
    use: PixelSettings,
) -> dict[str, Tensor]:
    """Return the terms of single nuclei with the prompter's own prompts, whose foreground the masks correct.

    Where a prompt has no nucleus, no mask is right, and the predicted IoU is trained towards 0.
    """
    assert features.embedding is not None
    assert features.prompter_logits is not None
    rng = np.random.default_rng(int(batch.seed))
    own = sample_nucleus_prompts(features.prompter_logits, batch.labels, settings.nuclei, use, rng)
    if not len(own.owner):
        return {}
    foreground = features.prompter_logits[:, 0]
    prompt = mask_prompt(foreground, features.embedding.shape[-1])
    masks = _decode_prompts(model, features.embedding, own.owner, own.centre_xy, use.window_cells, prompt)
    prompter_logits, basins, labels = (
        cut(each, own.owner, masks.corners_px, masks.side_px)
        for each in (foreground, own.basins, batch.labels)
    )
    found = masks.logits + nucleus_prior(prompter_logits, basins, own.basin)[:, None]
    there = own.true_id > 0
    wanted = torch.where(there, own.true_id, -1)
    truth = (labels == wanted[:, None, None])[:, None].float()
    terms = {"iou": (masks.iou - _overlap(found, truth)).square().mean()}
    if there.any():
        terms["instance"] = _MASK_LOSSES[settings.mask_loss](found[there], truth[there])
    return terms


def _overlap(logits: Tensor, truth: Tensor) -> Tensor:
    """Return the intersection over union (K, 1) of the current masks, the target of the predicted IoU."""
    with torch.no_grad():
        found, there = logits > 0, truth > 0
        both = (found & there).sum(dim=(2, 3))
        either = (found | there).sum(dim=(2, 3))
        return both / either.clamp(min=1)


def on_device(batch: TrainingBatch, device: str) -> TrainingBatch:
    """Return the batch on a device."""
    moved = {f.name: getattr(batch, f.name).to(device, non_blocking=True) for f in fields(batch)}
    return TrainingBatch(**moved)
