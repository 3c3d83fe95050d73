"""Parts of a SAC that corrects the output of its prompter.

A vision transformer alone learns too slowly from a few hundred images. Here the features of the prompter are
added to the patches of the encoder, the prompter's foreground is the decoder's mask prompt, and the logits of
a mask are those of the prompter plus a correction by the decoder. Before training the correction is zero, and
the nuclei are those of the prompter with its watershed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sac_wsi.model.nets.decode import UPSCALE, windows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segment_anything.modeling import ImageEncoderViT, MaskDecoder

_FOREIGN = 2.0
"""Pixels of other nuclei get the prompter's logit, negative, less this: the decoder hardly ever adds them."""


class Stem(nn.Module):
    """Project the features of the prompter's decoder to tokens of the encoder.

    ``feature_widths`` are the channels of the features by their stride, the coarsest first. Features of a
    larger stride than the encoder's patches are left out, finer ones are averaged over a patch.
    """

    def __init__(self, feature_widths: Mapping[int, int], patch_px: int, width: int) -> None:
        super().__init__()
        self._strides = tuple(stride for stride in feature_widths if stride <= patch_px)
        self._patch_px = patch_px
        into = sum(feature_widths[stride] for stride in self._strides)
        self.project = nn.Conv2d(into, width, kernel_size=1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (B, width, cells, cells) from the prompter's features, the coarsest first."""
        used = features[-len(self._strides) :]
        pooled = [
            functional.avg_pool2d(each, self._patch_px // stride)
            for each, stride in zip(used, self._strides, strict=True)
        ]
        out: Tensor = self.project(torch.cat(pooled, dim=1))
        return out


def encode_with(encoder: ImageEncoderViT, images: Tensor, tokens: Tensor) -> Tensor:
    """Run SAM's image encoder with ``tokens`` (B, width, cells, cells) added to its patches."""
    x = encoder.patch_embed(images) + tokens.permute(0, 2, 3, 1)
    if encoder.pos_embed is not None:
        x = x + encoder.pos_embed
    for block in encoder.blocks:
        x = block(x)
    embedding: Tensor = encoder.neck(x.permute(0, 3, 1, 2))
    return embedding


def zero_masks(decoder: MaskDecoder) -> None:
    """Set the last layers to zero, so that all mask logits are 0 before training."""
    for mlp in decoder.output_hypernetworks_mlps:
        last: Any = mlp.layers[-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)


def mask_prompt(foreground: Tensor, cells: int) -> Tensor:
    """Return the mask prompt (B, 1, 4 cells, 4 cells) of foreground logits (B, side, side)."""
    side = UPSCALE * cells
    return functional.adaptive_avg_pool2d(foreground[:, None].float(), (side, side))


def nucleus_prior(foreground: Tensor, basins: Tensor, basin: Tensor) -> Tensor:
    """Return the prompter's logits of single nuclei (K, h, w), each on its window.

    foreground  (K, h, w) logits
    basins      (K, h, w) number of the nucleus of each pixel, 0: none
    basin       (K,) number of each nucleus, 0: none
    """
    logits = foreground.float()
    foreign = (basins != 0) & (basins != basin[:, None, None])
    return torch.where(foreign, -logits.abs() - _FOREIGN, logits)


def cut(grids: Tensor, owner: Tensor, corners: Tensor, side: int) -> Tensor:
    """Cut windows (K, side, side) out of (B, h, w), each from its ``owner`` (K,)."""
    return windows(grids[:, None], owner, corners, side)[:, 0]
