"""A SAC that stands on its prompter's shoulders.

A vision transformer alone learns too slowly from a few hundred images. Here the encoder gets the prompter's
features beside its own patches, the prompter's foreground is the decoder's mask prompt, and a mask is what
the prompter says of it plus the decoder's correction. The correction starts at zero: before it has learnt
anything, this is the prompter with its watershed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sac_wsi.model.nets.decode import UPSCALE, windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segment_anything.modeling import ImageEncoderViT, MaskDecoder

_FOREIGN = 2.0
"""Logits further below zero than the prompter is sure: what is another nucleus's is hard to get back."""


class Stem(nn.Module):
    """The prompter's features on the way up, as tokens of the encoder.

    Those of a stride above that of the encoder's patches are left out, finer ones are averaged over a patch.
    """

    def __init__(self, prompter_width: int, patch_px: int, width: int) -> None:
        super().__init__()
        self._strides = tuple(stride for stride in (8, 4, 2, 1) if stride <= patch_px)
        self._patch_px = patch_px
        self.project = nn.Conv2d(
            sum(prompter_width * stride for stride in self._strides), width, kernel_size=1
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """(B, width, cells, cells) from the features at strides 8, 4, 2 and 1."""
        used = features[-len(self._strides) :]
        pooled = [
            functional.avg_pool2d(each, self._patch_px // stride)
            for each, stride in zip(used, self._strides, strict=True)
        ]
        out: Tensor = self.project(torch.cat(pooled, dim=1))
        return out


def encode_with(encoder: ImageEncoderViT, images: Tensor, tokens: Tensor) -> Tensor:
    """SAM's image encoder with something added to its patches."""
    x = encoder.patch_embed(images) + tokens.permute(0, 2, 3, 1)
    if encoder.pos_embed is not None:
        x = x + encoder.pos_embed
    for block in encoder.blocks:
        x = block(x)
    embedding: Tensor = encoder.neck(x.permute(0, 3, 1, 2))
    return embedding


def answer_zero(decoder: MaskDecoder) -> None:
    """Every mask is 0 whatever is asked, until something is learnt."""
    for mlp in decoder.output_hypernetworks_mlps:
        last: Any = mlp.layers[-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)


def mask_prompt(foreground: Tensor, cells: int) -> Tensor:
    """(B, 1, 4 cells, 4 cells), as the prompt encoder wants it, of foreground logits (B, side, side)."""
    side = UPSCALE * cells
    return functional.adaptive_avg_pool2d(foreground[:, None].float(), (side, side))


def nucleus_prior(foreground: Tensor, basins: Tensor, basin: Tensor) -> Tensor:
    """Return the prompter's logits of single nuclei (K, h, w), each on its window.

    foreground  (K, h, w) logits
    basins      (K, h, w) which nucleus each pixel is of, by its number; 0 of none
    basin       (K,) the number of each; 0: of none
    """
    logits = foreground.float()
    foreign = (basins != 0) & (basins != basin[:, None, None])
    return torch.where(foreign, -logits.abs() - _FOREIGN, logits)


def cut(grids: Tensor, owner: Tensor, corners: Tensor, side: int) -> Tensor:
    """(K, side, side) windows of (B, h, w), each from its ``owner`` (K,)."""
    return windows(grids[:, None], owner, corners, side)[:, 0]
