"""Low-rank updates of SAM's query and value projections (SAC, Eq. 1); the key stays as it is.

SAM keeps query, key and value in one linear layer ``qkv`` of width → 3·width. Its output thirds are q, k
and v; the update ``W x + B A x`` goes to the first and the last. B starts at zero, so the model starts as
SAM. There is no ``alpha / rank`` factor: the paper prints none, so the factor is 1.

Not `peft`: it adapts whole linear layers, so on the fused ``qkv`` the key would be adapted as well, and A
would be shared by the thirds (its maintainers on query and value alone: "currently not possible",
huggingface/peft#1705). It also renames Meta's ``qkv.weight`` to ``qkv.base_layer.weight``. Here the layer
is still a Linear under its own names, so Meta's checkpoints load by name.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from sac_wsi.errors import ConfigError
from sac_wsi.model.nets.tiny_vit import TinyViT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segment_anything.modeling import ImageEncoderViT

LORA_NAMES = ("q_a", "q_b", "v_a", "v_b")


class LoraQkv(nn.Linear):
    """``qkv`` with low-rank updates: x (..., width) to q, k, v side by side (..., 3·width).

    q_a, v_a  A of Eq. 1, (rank, width)
    q_b, v_b  B of Eq. 1, (width, rank)
    groups    SAM: 1, all of q, then k, then v. TinyViT: the number of heads, q, k and v of each head
    """

    def __init__(
        self,
        width: int,
        rank: int,
        groups: int = 1,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if rank < 1:
            raise ConfigError(f"The rank of LoRA is {rank}; needed 1 or more.")
        super().__init__(width, 3 * width, bias=bias, device=device, dtype=dtype)
        self.groups = groups
        self._new_factors(rank)

    @classmethod
    def from_linear(cls, linear: nn.Linear, rank: int, groups: int = 1) -> LoraQkv:
        """Return the layer with updates.

        It shares the weight and bias of ``linear`` and leaves them as trainable as they are.
        """
        width = linear.in_features
        if linear.out_features != 3 * width:
            raise ConfigError(
                f"A fused qkv layer maps width to 3 x width; found {width} to {linear.out_features}."
            )
        # on meta: no second weight is made only to be thrown away
        lora = cls(width, rank, groups, bias=linear.bias is not None, device="meta")
        lora.weight, lora.bias = linear.weight, linear.bias
        lora._new_factors(rank)
        return lora

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to (..., 3 width) with updates of q and v."""
        qkv = super().forward(x)
        heads = (*x.shape[:-1], self.groups)
        q, k, v = qkv.reshape(*heads, 3, -1).unbind(-2)
        q = q + functional.linear(functional.linear(x, self.q_a), self.q_b).reshape(*heads, -1)
        v = v + functional.linear(functional.linear(x, self.v_a), self.v_b).reshape(*heads, -1)
        return torch.stack((q, k, v), dim=-2).reshape(qkv.shape)

    @torch.no_grad()
    def merge(self) -> nn.Linear:
        """Return a plain layer with the updates folded in; this layer does not change."""
        width, out = self.in_features, self.out_features
        weight = self.weight.clone()
        parts = weight.view(self.groups, 3, -1, width)
        parts[:, 0] += (self.q_b @ self.q_a).view(self.groups, -1, width)
        parts[:, 2] += (self.v_b @ self.v_a).view(self.groups, -1, width)
        linear = nn.Linear(width, out, bias=self.bias is not None, device="meta")
        linear.weight = nn.Parameter(weight, requires_grad=self.weight.requires_grad)
        linear.bias = self.bias
        return linear

    def _new_factors(self, rank: int) -> None:
        """Make A at random and B zero, on the weight's device and of its type."""
        width, like = self.in_features, self.weight
        for name in LORA_NAMES:
            shape = (rank, width) if name.endswith("a") else (width, rank)
            factor = torch.zeros(shape, device=like.device, dtype=like.dtype)
            if name.endswith("a"):
                nn.init.kaiming_uniform_(factor, a=math.sqrt(5))  # nn.Linear's own start
            setattr(self, name, nn.Parameter(factor))

    q_a: nn.Parameter
    q_b: nn.Parameter
    v_a: nn.Parameter
    v_b: nn.Parameter


def add_lora(encoder: ImageEncoderViT | TinyViT, rank: int = 0, blocks: Sequence[int] | None = None) -> None:
    """Replace ``attn.qkv`` of the given blocks (default: of every block) in place.

    The new factors are trainable: freeze the encoder before, not after. A rank of 0 is a quarter of the width
    of each block.
    """
    depth = len(encoder.blocks)
    chosen = range(depth) if blocks is None else blocks
    if rank < 0:
        raise ConfigError(f"The rank of LoRA is {rank}; needed 0 or more.")
    if missing := [i for i in chosen if not 0 <= i < depth]:
        raise ConfigError(f"LoRA on blocks {missing}: the encoder has blocks 0 to {depth - 1}.")
    if taken := [i for i in chosen if isinstance(encoder.blocks[i].attn.qkv, LoraQkv)]:
        raise ConfigError(f"Blocks {taken} have LoRA already; merge it before adding another.")
    for i in set(chosen):
        attention = encoder.blocks[i].attn
        groups = attention.heads if isinstance(encoder, TinyViT) else 1
        attention.qkv = LoraQkv.from_linear(attention.qkv, rank or attention.qkv.in_features // 4, groups)


def merge_lora(encoder: ImageEncoderViT | TinyViT) -> None:
    """Fold every update into its layer in place: SAM's own shape and speed again."""
    for block in encoder.blocks:
        if isinstance(block.attn.qkv, LoraQkv):
            block.attn.qkv = block.attn.qkv.merge()
