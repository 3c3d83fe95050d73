"""Medical SAM Adapter (MSA): two bottleneck adapters in every block of a frozen encoder.

One stands after the attention, in series; one beside the MLP, in parallel:

    x = x + space_adapter(attn(norm1(x)))                      space_adapter keeps its input: y + up(down(y))
    x = x + mlp(norm2(x)) + 0.5 · mlp_adapter(norm2(x))

The up-projections start at zero, so the model starts as SAM. (MSA's own code starts them at random.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from segment_anything.modeling.image_encoder import Block, window_partition, window_unpartition
from torch import Tensor, nn
from torch.nn import functional

from sac_wsi.errors import ConfigError
from sac_wsi.model.nets.tiny_vit import MLP_ADAPTER_SCALE, TinyViT

if TYPE_CHECKING:
    from segment_anything.modeling import ImageEncoderViT


class Bottleneck(nn.Module):
    """Two linear layers, from (..., width) to (..., hidden) and back; before training the output is 0."""

    def __init__(self, width: int, hidden: int, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        self.down = nn.Linear(width, hidden, device=device, dtype=dtype)
        self.up = nn.Linear(hidden, width, device=device, dtype=dtype)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to (..., width) through the bottleneck."""
        out: Tensor = self.up(functional.gelu(self.down(x)))
        return out


class AdaptedBlock(nn.Module):
    """A block of SAM's encoder with two adapters: BxHxWxC to BxHxWxC.

    Holds the parts of ``block`` under their own names, so that Meta's state-dict keys stay.
    """

    def __init__(self, block: Block, ratio: float = 0.25) -> None:
        super().__init__()
        self.norm1, self.attn = block.norm1, block.attn
        self.norm2, self.mlp = block.norm2, block.mlp
        self.window_size: int = block.window_size
        like = block.norm1.weight
        width = like.shape[0]
        hidden = int(width * ratio)
        if hidden < 1:
            raise ConfigError(
                f"The ratio of the adapters is {ratio}: needed at least {1 / width:g} for a width of {width}."
            )
        self.space_adapter = Bottleneck(width, hidden, like.device, like.dtype)
        self.mlp_adapter = Bottleneck(width, hidden, like.device, like.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block with both adapters."""
        attended = self._attend(self.norm1(x))
        x = x + attended + self.space_adapter(attended)
        normed = self.norm2(x)
        out: Tensor = x + self.mlp(normed) + MLP_ADAPTER_SCALE * self.mlp_adapter(normed)
        return out

    def _attend(self, x: Tensor) -> Tensor:
        """Attend within windows, or over the whole input if ``window_size`` is 0."""
        out: Tensor
        if self.window_size == 0:
            out = self.attn(x)
            return out
        size = (x.shape[1], x.shape[2])
        windows, padded = window_partition(x, self.window_size)
        out = window_unpartition(self.attn(windows), self.window_size, padded, size)
        return out


def add_adapters(encoder: ImageEncoderViT | TinyViT, ratio: float = 0.25) -> None:
    """Give every block two adapters, in place; they have ``ratio`` times its width and are trainable.

    Freeze the encoder before, not after.
    """
    if isinstance(encoder, TinyViT):
        for block in encoder.blocks:
            like = block.mlp.norm.weight
            width = len(like)
            block.space_adapter, block.mlp_adapter = (
                Bottleneck(width, int(width * ratio), like.device, like.dtype) for _ in range(2)
            )
        return
    if any(isinstance(block, AdaptedBlock) for block in encoder.blocks):
        raise ConfigError("This encoder already has adapters.")
    for i, block in enumerate(encoder.blocks):
        encoder.blocks[i] = AdaptedBlock(block, ratio)
