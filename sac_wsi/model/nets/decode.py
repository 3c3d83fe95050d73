"""Decode prompts to masks with SAM's decoder: on the whole embedding, or on a window around each point.

Points are (K, N, 2) pixels of the tile (x right, y down), labels (K, N): 1 positive, 0 negative, -1 none.
Logits have four pixels per cell of the embedding, as in SAM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from segment_anything.modeling import MaskDecoder, PromptEncoder

UPSCALE = 4
"""Logit pixels per cell of the embedding, along each axis."""


@dataclass(frozen=True)
class Prompted:
    """K prompts, ready for the decoder.

    tokens  (K, N, width)    points and boxes
    dense   (B, width, h, w) the mask prompts of B tiles, or SAM's embedding for "no mask prompt"
    masked  whether ``dense`` holds mask prompts
    """

    tokens: Tensor
    dense: Tensor
    masked: bool = False


def embed_prompts(
    encoder: PromptEncoder,
    xy: Tensor,
    labels: Tensor,
    *,
    boxes: Tensor | None = None,
    mask_logits: Tensor | None = None,
) -> Prompted:
    """Embed prompts as SAM does. Without points (N = 0) and boxes there are no tokens."""
    points = (xy, labels) if xy.shape[1] else None
    # in full precision: a coordinate in bfloat16 is off by several pixels
    with torch.autocast(xy.device.type, enabled=False):
        masks = None if mask_logits is None else mask_logits.float()
        tokens, dense = encoder(points=points, boxes=boxes, masks=masks)
    if points is None and boxes is None:
        tokens = tokens.expand(xy.shape[0], -1, -1)
    return Prompted(tokens, dense, masks is not None)


def decode(
    decoder: MaskDecoder, embedding: Tensor, position: Tensor, prompted: Prompted
) -> tuple[Tensor, Tensor]:
    """Return all of SAM's masks, (K, 4, 4 h, 4 w) logits, and their predicted IoU, (K, 4).

    ``embedding`` is (K, width, h, w), one for each prompt: SAM's own ``predict_masks`` takes many prompts of
    one image only. Mask 0 is the single mask, 1 to 3 are the alternatives.
    """
    count, width, height, breadth = embedding.shape
    own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([own.expand(count, -1, -1), prompted.tokens], dim=1)
    hidden, cells = decoder.transformer(
        embedding + prompted.dense, position.expand(count, -1, -1, -1), tokens
    )
    upscaled = decoder.output_upscaling(cells.transpose(1, 2).reshape(count, width, height, breadth))
    filters = torch.stack(
        [mlp(hidden[:, 1 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)], dim=1
    )
    masks = torch.einsum("kmc,kchw->kmhw", filters, upscaled)
    return masks, decoder.iou_prediction_head(hidden[:, 0])


def window_corners(xy: Tensor, cell_px: int, cells: tuple[int, int], window: int) -> Tensor:
    """Return (K, 2) first row and column, in cells, of a window around each point (K, 2) in the embedding."""
    centre = torch.stack([xy[:, 1], xy[:, 0]], dim=1) + 0.5
    corner = torch.round(centre / cell_px - window / 2).long()
    most = torch.tensor([max(0, side - window) for side in cells], device=xy.device)
    return torch.minimum(corner.clamp(min=0), most)


def windows(grids: Tensor, owner: Tensor, corners: Tensor, window: int) -> Tensor:
    """Cut (K, C, window, window) at the corners out of grids (B, C, h, w), each from its ``owner`` (K,)."""
    along = torch.arange(window, device=grids.device)
    rows = corners[:, 0, None] + along
    columns = corners[:, 1, None] + along
    return grids[owner[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def decode_locally(
    decoder: MaskDecoder,
    embedding: Tensor,
    owner: Tensor,
    position: Tensor,
    prompted: Prompted,
    corners: Tensor,
    window: int,
) -> tuple[Tensor, Tensor]:
    """Decode on windows of tiles' (B, C, h, w) embeddings: (K, 4, 4 window, 4 window) logits and IoU.

    ``owner`` (K,) is the tile of each prompt; a mask prompt is one for each tile.

    A nucleus is a few cells wide: cells far from it take time and tell nothing about it. Positions are those
    of the whole tile, so a window as large as the embedding gives the same masks as ``decode``.
    """
    first = torch.zeros_like(owner)
    dense = windows(prompted.dense, owner if prompted.masked else first, corners, window)
    return decode(
        decoder,
        windows(embedding, owner, corners, window),
        windows(position, first, corners, window),
        Prompted(prompted.tokens, dense),
    )
