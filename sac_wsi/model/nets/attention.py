"""Compute SAM's attention with relative positions exactly, by fused attention.

SAM adds to the score of query q and key k, at row r and column c, the numbers ``rel_h[q, r]`` and
``rel_w[q, c]``. As a matrix that bias has 4096² numbers per head. It is also a dot product:

    q' = [scale · q, rel_h(q), rel_w(q)]      k' = [k, one-hot of row, one-hot of column]

so q'·k' is the biased score, and plain fused attention needs no bias at all. Heads are height + width
wider: 64 + 64 + 64 = 192 for ViT-B and ViT-L, 80 + 128 = 208 for ViT-H, below the 256 that fused kernels
take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from sac_wsi.model.nets.tiny_vit import TinyViT

if TYPE_CHECKING:
    from segment_anything.modeling import ImageEncoderViT
    from segment_anything.modeling.image_encoder import Attention


class ExactAttention(nn.Module):
    """The computation of segment_anything's ``Attention``: BxHxWxC to BxHxWxC.

    Holds the parts of ``attention`` under their own names, so that Meta's state-dict keys stay; ``qkv`` may
    be a LoraQkv.
    """

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.num_heads: int = attention.num_heads
        self.scale: float = attention.scale
        self.use_rel_pos: bool = attention.use_rel_pos
        self.qkv, self.proj = attention.qkv, attention.proj
        if self.use_rel_pos:
            self.rel_pos_h: nn.Parameter = attention.rel_pos_h
            self.rel_pos_w: nn.Parameter = attention.rel_pos_w

    def forward(self, x: Tensor) -> Tensor:
        """Attend within (B, h, w, width) tokens."""
        batch, height, width, _ = x.shape
        qkv = self.qkv(x).reshape(batch, height * width, 3, self.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each B x heads x HW x head width
        if self.use_rel_pos:
            out = self._attend_with_places(q, k, v, height, width)
        else:
            out = functional.scaled_dot_product_attention(q, k, v, scale=self.scale)
        projected: Tensor = self.proj(out.transpose(1, 2).reshape(batch, height, width, -1))
        return projected

    def _attend_with_places(self, q: Tensor, k: Tensor, v: Tensor, height: int, width: int) -> Tensor:
        by_row = q.reshape(*q.shape[:2], height, width, -1)
        rel_h = torch.einsum("bnhwc,hkc->bnhwk", by_row, relative_rows(self.rel_pos_h, height)).flatten(2, 3)
        rel_w = torch.einsum("bnhwc,wkc->bnhwk", by_row, relative_rows(self.rel_pos_w, width)).flatten(2, 3)
        # q is scaled here, as SAM does it: scaling inside would scale the positions as well
        q = torch.cat((q * self.scale, rel_h, rel_w), dim=-1)
        places = one_hot_places(height, width, k).expand(*k.shape[:2], -1, -1)
        k = torch.cat((k, places), dim=-1)
        # flash kernels, on CUDA and on the CPU, want q, k and v of one width; without it the fallback
        # writes all HW² scores to memory
        head = v.shape[-1]
        v = functional.pad(v, (0, q.shape[-1] - head))
        return functional.scaled_dot_product_attention(q, k, v, scale=1.0)[..., :head]


def use_exact_attention(encoder: ImageEncoderViT | TinyViT) -> None:
    """Replace every block's attention in place; the parameters are shared, not copied.

    TinyViT's windows are small, and its attention is fused already.
    """
    if isinstance(encoder, TinyViT):
        return
    for block in encoder.blocks:
        block.attn = ExactAttention(block.attn)


def relative_rows(rel_pos: Tensor, size: int) -> Tensor:
    """Return (size, size, C): entry [q, k] is the embedding of the distance q - k.

    ``rel_pos`` (L, C) holds the distances -(L-1)/2 to (L-1)/2. It is interpolated linearly if the input has
    another size than in training.
    """
    span = 2 * size - 1
    if rel_pos.shape[0] != span:
        rel_pos = functional.interpolate(rel_pos.T[None], size=span, mode="linear")[0].T
    # indices made on the same device: an index from the CPU would halt the GPU in every block
    at = torch.arange(size, device=rel_pos.device)
    return rel_pos[at[:, None] - at[None, :] + size - 1]


def one_hot_places(height: int, width: int, like: Tensor) -> Tensor:
    """Return (HW, H + W) row and column of every position, one-hot, in row-major order."""
    rows = torch.eye(height, device=like.device, dtype=like.dtype).repeat_interleave(width, dim=0)
    columns = torch.eye(width, device=like.device, dtype=like.dtype).repeat(height, 1)
    return torch.cat((rows, columns), dim=-1)
