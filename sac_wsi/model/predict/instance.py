"""Instance mode: every positive point is a prompt of its own and gives a mask and a score."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from sac_wsi.model.nets.decode import decode_locally, embed_prompts, window_corners
from sac_wsi.model.nets.over_prompter import cut, mask_prompt, nucleus_prior
from sac_wsi.model.nets.sac import cell_px, to_tile
from sac_wsi.model.points.instances import mask_nms
from sac_wsi.model.points.prompts import neighbours
from sac_wsi.model.predict.torch_runner import foreground_logits, torch_runner_of
from sac_wsi.nuclei.columns import Nuclei, concat
from sac_wsi.nuclei.masks import nuclei_from_masks

if TYPE_CHECKING:
    from sac_wsi.model.predict.context import TileContext

_MASK_PIXELS = 1 << 24
"""Most pixels of masks, at the resolution of the tile, in memory at a time."""


def instance_nuclei(
    context: TileContext, centres_yx: NDArray[np.int32], basins: NDArray[np.int32] | None
) -> Nuclei:
    """Return at most one nucleus per centre, in frame coordinates.

    Each decoder call holds prompts of this tile only, so its masks do not depend on the rest of the batch.

    Args:
        context: The tile and the model.
        centres_yx: (K, 2) prompts in pixels of the tile.
        basins: (h, w) the prompter's nuclei in the tile, for a model whose masks correct them.
    """
    settings, size, (y0, x0) = context.settings, torch_runner_of(context).model.size, context.corner_yx
    cells = size.tile_px // cell_px(size)
    window = min(settings.window_cells or cells, cells)
    prompts = _prompts(context, centres_yx, basins)
    side_px = window * cell_px(size)
    step = max(1, min(settings.prompts_at_once, _MASK_PIXELS // side_px**2))
    found = [Nuclei.empty()]
    for first in range(0, len(centres_yx), step):
        part = prompts.part(slice(first, first + step))
        masks, scores, corners_yx = _decode(context, part, window)
        masks &= _on_slide(corners_yx, side_px, context.shape_yx)
        placed = [
            ((y0 + int(y), x0 + int(x)), _piece_at(mask, point[1] - int(y), point[0] - int(x)))
            for (y, x), mask, point in zip(corners_yx, masks, part.xy[:, 0].astype(int), strict=True)
        ]
        found.append(nuclei_from_masks(placed, scores))
    nuclei = concat(found)
    large = nuclei.area_px >= settings.min_mask_area_px
    nuclei = nuclei.take(large & (nuclei.score >= settings.min_score))
    return nuclei.take(mask_nms(nuclei, settings.nms_iou))


@dataclass(frozen=True)
class _Prior:
    """The prompter's nuclei of a tile, which masks correct.

    foreground  (1, side, side) logits
    basins      (1, side, side) number of the nucleus that each pixel belongs to
    basin       (K,) that number for the nucleus of each prompt
    """

    foreground: Tensor
    basins: Tensor
    basin: Tensor

    def part(self, which: slice) -> _Prior:
        """Return the same maps with some of the prompts."""
        return replace(self, basin=self.basin[which])

    def on_windows(self, owner: Tensor, corners_px: Tensor, side: int) -> Tensor:
        """Return (K, side, side) logits on windows of the tile."""
        foreground, basins = (cut(each, owner, corners_px, side) for each in (self.foreground, self.basins))
        return nucleus_prior(foreground, basins, self.basin)


@dataclass(frozen=True)
class _Prompts:
    """K prompts of a tile, each with its negative points.

    xy      (K, 1 + negatives, 2) points, x and y in pixels of the tile; the first is the positive one
    labels  (K, 1 + negatives) 1 positive, 0 negative, -1 where there are too few neighbours
    prior   the prompter's nuclei, for a model whose masks correct them
    """

    xy: NDArray[np.float32]
    labels: NDArray[np.int64]
    prior: _Prior | None

    def part(self, which: slice) -> _Prompts:
        """Return some of the prompts."""
        prior = None if self.prior is None else self.prior.part(which)
        return _Prompts(self.xy[which], self.labels[which], prior)


def _prompts(
    context: TileContext, centres_yx: NDArray[np.int32], basins: NDArray[np.int32] | None
) -> _Prompts:
    """Make the prompts of the tile: each centre (K, 2) with its nearest neighbours as negative points."""
    count, negatives = len(centres_yx), context.settings.negatives
    xy = np.zeros((count, 1 + negatives, 2), np.float32)
    labels = np.full((count, 1 + negatives), -1, np.int64)
    xy[:, 0], labels[:, 0] = centres_yx[:, ::-1], 1
    if negatives and count:
        near = neighbours(centres_yx, negatives)
        there = near >= 0
        xy[:, 1:][there] = centres_yx[near[there]][:, ::-1]
        labels[:, 1:][there] = 0
    return _Prompts(xy, labels, None if basins is None else _prior(context, basins, centres_yx))


def _prior(context: TileContext, basins: NDArray[np.int32], centres_yx: NDArray[np.int32]) -> _Prior:
    runner = torch_runner_of(context)
    device = runner.device
    foreground = foreground_logits(runner, context.features)
    assert foreground is not None
    side = foreground.shape[-1]
    full = np.zeros((1, side, side), np.int32)
    full[0, : basins.shape[0], : basins.shape[1]] = basins
    number = basins[centres_yx[:, 0], centres_yx[:, 1]]
    return _Prior(foreground, torch.from_numpy(full).to(device), torch.from_numpy(number).to(device))


def _decode(
    context: TileContext, prompts: _Prompts, window: int
) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.int64]]:
    """Decode each prompt on a window of ``window`` cells around its point.

    Returns:
        Masks (K, side, side), their scores (K,), and the first row and column (K, 2) of each window, in
        pixels of the tile.
    """
    runner = torch_runner_of(context)
    model, embedding = runner.model, context.features.embedding
    encoder, decoder = model.prompt_encoder, model.mask_decoder
    assert embedding is not None
    assert encoder is not None
    assert decoder is not None
    cell, prior = cell_px(model.size), prompts.prior
    side = window * cell
    height, width = embedding.shape[-2:]
    threshold = _logit(context.settings.mask_probability)
    with torch.inference_mode(), runner.arithmetic():
        points = torch.from_numpy(prompts.xy).to(runner.device)
        labels = torch.from_numpy(prompts.labels).to(runner.device)
        owner = torch.zeros(len(points), dtype=torch.long, device=points.device)
        corners = window_corners(points[:, 0], cell, (height, width), window)
        mask_logits = None if prior is None else mask_prompt(prior.foreground, embedding.shape[-1])
        prompter_logits = None if prior is None else prior.on_windows(owner, corners * cell, side)

        def masks_of(boxes: Tensor | None = None) -> tuple[Tensor, Tensor]:
            embedded = embed_prompts(encoder, points, labels, boxes=boxes, mask_logits=mask_logits)
            logits, iou = decode_locally(
                decoder, embedding, owner, model.position(), embedded, corners, window
            )
            logits, iou = _choose(logits, iou, context.settings.multimask)
            pixels = to_tile(logits[:, None], side)[:, 0]
            return (pixels if prompter_logits is None else pixels + prompter_logits) > threshold, iou

        masks, iou = masks_of()
        if context.settings.box_round:
            masks, iou = masks_of(_boxes(masks, corners * cell))
    scores = iou.float().clamp(0, 1).cpu().numpy()
    return masks.cpu().numpy(), scores, (corners * cell).cpu().numpy()


def _piece_at(mask: NDArray[np.bool_], y: int, x: int) -> NDArray[np.bool_]:
    """Keep the piece of a mask that holds its prompt; the whole mask if none does."""
    pieces, count = ndimage.label(mask)
    if count < 2 or not pieces[y, x]:
        return mask
    piece: NDArray[np.bool_] = pieces == pieces[y, x]
    return piece


def _choose(logits: Tensor, iou: Tensor, multimask: bool) -> tuple[Tensor, Tensor]:
    """Return (K, h, w) logits and (K,) IoU of the single mask, or of the best of the three alternatives."""
    if not multimask:
        return logits[:, 0], iou[:, 0]
    best = 1 + iou[:, 1:].argmax(dim=1)
    rows = torch.arange(len(best), device=best.device)
    return logits[rows, best], iou[rows, best]


def _logit(probability: float) -> float:
    """Return the logit of a probability from 0 to 1."""
    if 0 < probability < 1:
        return math.log(probability / (1 - probability))
    return math.inf if probability else -math.inf


def _boxes(masks: Tensor, corners_px: Tensor) -> Tensor:
    """Return (K, 4) x0, y0, x1, y1 in pixels of the tile; an empty mask gives its whole window."""
    side = masks.shape[-1]
    rows, columns = masks.any(dim=2).float(), masks.any(dim=1).float()
    y0, x0 = rows.argmax(dim=1), columns.argmax(dim=1)
    y1, x1 = side - 1 - rows.flip(1).argmax(dim=1), side - 1 - columns.flip(1).argmax(dim=1)
    empty = ~masks.any(dim=2).any(dim=1)
    y1, x1 = torch.where(empty, side - 1, y1), torch.where(empty, side - 1, x1)
    shift_y, shift_x = corners_px[:, 0], corners_px[:, 1]
    return torch.stack([x0 + shift_x, y0 + shift_y, x1 + shift_x, y1 + shift_y], dim=1).float()


def _on_slide(corners: NDArray[np.int64], side: int, shape_yx: tuple[int, int]) -> NDArray[np.bool_]:
    """Return (K, side, side) which pixels of the windows lie on the slide: a window can reach beyond it."""
    along = np.arange(side)
    rows = corners[:, :1] + along < shape_yx[0]
    columns = corners[:, 1:] + along < shape_yx[1]
    on: NDArray[np.bool_] = rows[:, :, None] & columns[:, None, :]
    return on
