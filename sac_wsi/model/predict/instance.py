"""A mask and a score for each nucleus: every positive point is a prompt of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from sac_wsi.model.nets.decode import decode_locally, embed_prompts, window_corners
from sac_wsi.model.nets.over_prompter import cut, mask_prompt, nucleus_prior
from sac_wsi.model.nets.sac import cell_px, to_tile
from sac_wsi.model.points.instances import mask_nms
from sac_wsi.model.points.prompts import neighbours
from sac_wsi.model.predict.features import Features, Runner, foreground_logits
from sac_wsi.nuclei.columns import Nuclei, concat
from sac_wsi.nuclei.masks import nuclei_from_masks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sac_wsi.model.checkpoint.inference import InferenceSettings
    from sac_wsi.tiling.segmenter import RgbTile

_MASK_PIXELS = 1 << 24
"""Of masks at a tile's resolution held at a time."""


def instance_nuclei(
    runner: Runner,
    features: Features,
    centres_yx: NDArray[np.int32],
    basins: NDArray[np.int32] | None,
    tile: RgbTile,
    settings: InferenceSettings,
    mpp: float,
) -> Nuclei:
    """Return at most one nucleus per centre, in frame coordinates.

    Each decoder call holds prompts of this tile only, so its masks do not depend on the rest of the batch.

    Args:
        runner: The model.
        features: Its outputs for the tile.
        centres_yx: (K, 2) prompts in pixels of the tile.
        basins: (h, w) the prompter's nuclei in the tile, for a model whose masks correct them.
        tile: The tile.
        settings: How masks become nuclei.
        mpp: Micrometres per pixel of the tile.
    """
    size = runner.model.size
    prior = None if basins is None else _prior(runner, features, basins, centres_yx)
    cells = size.tile_px // cell_px(size)
    window = min(settings.window_cells or cells, cells)
    xy, labels = _prompts(centres_yx, settings.negatives)
    side = window * cell_px(size)
    step = max(1, min(settings.prompts_at_once, _MASK_PIXELS // side**2))
    found = [Nuclei.empty()]
    for first in range(0, len(xy), step):
        some = slice(first, first + step)
        asked = (xy[some], labels[some], None if prior is None else prior.some(some))
        masks, scores, corners = _decode(runner, features, *asked, window, settings)
        masks[:, :, :] &= _on_slide(corners, side, tile.rgb.shape[:2])
        places = [
            (
                (tile.read.y0 + int(y), tile.read.x0 + int(x)),
                _piece_at(mask, point[1] - int(y), point[0] - int(x)),
            )
            for (y, x), mask, point in zip(corners, masks, xy[some, 0].astype(int), strict=True)
        ]
        found.append(nuclei_from_masks(places, scores))
    nuclei = concat(found)
    large = nuclei.area_px * mpp**2 >= settings.min_area_um2
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

    def some(self, which: slice) -> _Prior:
        return replace(self, basin=self.basin[which])

    def on_windows(self, owner: Tensor, corners_px: Tensor, side: int) -> Tensor:
        """(K, side, side) logits."""
        foreground, basins = (cut(each, owner, corners_px, side) for each in (self.foreground, self.basins))
        return nucleus_prior(foreground, basins, self.basin)


def _prior(
    runner: Runner, features: Features, basins: NDArray[np.int32], centres_yx: NDArray[np.int32]
) -> _Prior:
    foreground = foreground_logits(runner, features)
    assert foreground is not None
    side = foreground.shape[-1]
    tile = np.zeros((1, side, side), np.int32)
    tile[0, : basins.shape[0], : basins.shape[1]] = basins
    number = basins[centres_yx[:, 0], centres_yx[:, 1]]
    return _Prior(
        foreground, torch.from_numpy(tile).to(runner.device), torch.from_numpy(number).to(runner.device)
    )


def _prompts(centres_yx: NDArray[np.int32], negatives: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(K, 1 + negatives, 2) x, y and their labels; -1 where a neighbour is wanting."""
    count = len(centres_yx)
    xy = np.zeros((count, 1 + negatives, 2), np.float32)
    labels = np.full((count, 1 + negatives), -1, np.int64)
    xy[:, 0], labels[:, 0] = centres_yx[:, ::-1], 1
    if negatives and count:
        near = neighbours(centres_yx, negatives)
        there = near >= 0
        xy[:, 1:][there] = centres_yx[near[there]][:, ::-1]
        labels[:, 1:][there] = 0
    return xy, labels


def _decode(
    runner: Runner,
    features: Features,
    xy: NDArray[np.float32],
    labels: NDArray[np.int64],
    prior: _Prior | None,
    window: int,
    settings: InferenceSettings,
) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.int64]]:
    """(K, side, side) masks, their scores, and the first row and column of each, in pixels of the tile."""
    model, embedding = runner.model, features.embedding
    encoder, decoder = model.prompt_encoder, model.mask_decoder
    assert embedding is not None
    assert encoder is not None
    assert decoder is not None
    cell = cell_px(model.size)
    with torch.inference_mode(), runner.arithmetic():
        points = torch.from_numpy(xy).to(runner.device)
        kinds = torch.from_numpy(labels).to(runner.device)
        owner = torch.zeros(len(points), dtype=torch.long, device=points.device)
        corners = window_corners(points[:, 0], cell, _cells(features), window)

        side = window * cell
        mask_logits = None if prior is None else mask_prompt(prior.foreground, embedding.shape[-1])
        prompter_logits = None if prior is None else prior.on_windows(owner, corners * cell, side)

        def ask(boxes: Tensor | None = None) -> tuple[Tensor, Tensor]:
            prompted = embed_prompts(encoder, points, kinds, boxes=boxes, mask_logits=mask_logits)
            logits, iou = decode_locally(
                decoder, embedding, owner, model.position(), prompted, corners, window
            )
            logits, iou = _choose(logits, iou, settings.multimask)
            pixels = to_tile(logits[:, None], side)[:, 0]
            return (pixels if prompter_logits is None else pixels + prompter_logits) > _least_logit(
                settings.mask_probability
            ), iou

        masks, iou = ask()
        if settings.box_round:
            masks, iou = ask(_boxes(masks, corners * cell))
    scores = iou.float().clamp(0, 1).cpu().numpy()
    return masks.cpu().numpy(), scores, (corners * cell).cpu().numpy()


def _piece_at(mask: NDArray[np.bool_], y: int, x: int) -> NDArray[np.bool_]:
    """Keep the piece of a mask that holds its prompt; the whole mask if none does."""
    pieces, count = ndimage.label(mask)
    if count < 2 or not pieces[y, x]:
        return mask
    piece: NDArray[np.bool_] = pieces == pieces[y, x]
    return piece


def _cells(features: Features) -> tuple[int, int]:
    assert features.embedding is not None
    height, width = features.embedding.shape[-2:]
    return height, width


def _choose(logits: Tensor, iou: Tensor, multimask: bool) -> tuple[Tensor, Tensor]:
    """(K, h, w) and (K,): the single answer, or the best of the three alternatives."""
    if not multimask:
        return logits[:, 0], iou[:, 0]
    best = 1 + iou[:, 1:].argmax(dim=1)
    rows = torch.arange(len(best), device=best.device)
    return logits[rows, best], iou[rows, best]


def _least_logit(probability: float) -> float:
    if 0 < probability < 1:
        return math.log(probability / (1 - probability))
    return math.inf if probability else -math.inf


def _boxes(masks: Tensor, corners_px: Tensor) -> Tensor:
    """(K, 4) x0, y0, x1, y1 pixels of the tile; an empty mask gives its whole window."""
    side = masks.shape[-1]
    rows, columns = masks.any(dim=2).float(), masks.any(dim=1).float()
    y0, x0 = rows.argmax(dim=1), columns.argmax(dim=1)
    y1, x1 = side - 1 - rows.flip(1).argmax(dim=1), side - 1 - columns.flip(1).argmax(dim=1)
    empty = ~masks.any(dim=2).any(dim=1)
    y1, x1 = torch.where(empty, side - 1, y1), torch.where(empty, side - 1, x1)
    shift_y, shift_x = corners_px[:, 0], corners_px[:, 1]
    return torch.stack([x0 + shift_x, y0 + shift_y, x1 + shift_x, y1 + shift_y], dim=1).float()


def _on_slide(corners: NDArray[np.int64], side: int, shape_yx: tuple[int, int]) -> NDArray[np.bool_]:
    """(K, side, side): a window reaches into the white beyond the slide's edge."""
    along = np.arange(side)
    rows = corners[:, :1] + along < shape_yx[0]
    columns = corners[:, 1:] + along < shape_yx[1]
    on: NDArray[np.bool_] = rows[:, :, None] & columns[:, None, :]
    return on
