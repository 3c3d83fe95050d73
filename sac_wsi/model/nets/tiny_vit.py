"""TinyViT, the image encoder of MobileSAM, under the names of MobileSAM's files.

image ─► patches (stride 4) ─► convolutions ─► stride 8: 2 blocks ─► stride 16: 6 blocks ─► 2 blocks ─► neck

A block attends within windows, filters each channel with a 3×3 convolution, and ends with an MLP (Wu et al.
2022; Zhang et al. 2023). The last stage keeps stride 16, so the embedding has a cell for each 16 pixels, as
that of SAM's own encoders.
"""

from __future__ import annotations

import torch
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional

_WIDTHS = (64, 128, 160, 320)
_DEPTHS = (2, 2, 6, 2)
_HEADS = (2, 4, 5, 10)
_WINDOWS = (7, 7, 14, 7)
_STRIDES = (2, 2, 1)
_EXPANSION = 4
MLP_ADAPTER_SCALE = 0.5


class TinyViT(nn.Module):
    """Map normalised tiles (B, 3, side, side) to an embedding (B, 256, side / 16, side / 16)."""

    def __init__(self, out_width: int = 256) -> None:
        super().__init__()
        self.patch_embed = _Patches(_WIDTHS[0])
        stages: list[nn.Module] = [_ConvolutionStage(_WIDTHS[0], _DEPTHS[0], _Merge(*_WIDTHS[:2], 2))]
        for i in range(1, len(_WIDTHS)):
            merge = _Merge(_WIDTHS[i], _WIDTHS[i + 1], _STRIDES[i]) if i + 1 < len(_WIDTHS) else None
            blocks = [TinyBlock(_WIDTHS[i], _HEADS[i], _WINDOWS[i]) for _ in range(_DEPTHS[i])]
            stages.append(_AttentionStage(blocks, merge))
        self.layers = nn.ModuleList(stages)
        self.neck = nn.Sequential(
            nn.Conv2d(_WIDTHS[-1], out_width, 1, bias=False),
            LayerNorm2d(out_width),
            nn.Conv2d(out_width, out_width, 3, padding=1, bias=False),
            LayerNorm2d(out_width),
        )

    @property
    def blocks(self) -> list[TinyBlock]:
        """The blocks with attention, in order."""
        stages = [stage for stage in self.layers if isinstance(stage, _AttentionStage)]
        return [block for stage in stages for block in stage.blocks if isinstance(block, TinyBlock)]

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding; the side is a multiple of 16."""
        x = self.patch_embed(x)
        for stage in self.layers:
            x = stage(x)
        out: Tensor = self.neck(x)
        return out


class TinyBlock(nn.Module):
    """Attention within windows, a 3×3 convolution of each channel, an MLP: (B, C, h, w) to (B, C, h, w).

    ``space_adapter`` and ``mlp_adapter`` are those of MSA, if it has them.
    """

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self._window = window
        self.attn = _Attention(width, heads, window)
        self.local_conv = _Normed(width, width, 3, groups=width)
        self.mlp = _Mlp(width)
        self.space_adapter: nn.Module | None = None
        self.mlp_adapter: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        attended = self._attend(x.permute(0, 2, 3, 1))
        if self.space_adapter is not None:
            attended = attended + self.space_adapter(attended)
        x = self.local_conv(x + attended.permute(0, 3, 1, 2))
        tokens = x.permute(0, 2, 3, 1)
        out: Tensor = self.mlp(tokens)
        if self.mlp_adapter is not None:
            out = out + MLP_ADAPTER_SCALE * self.mlp_adapter(self.mlp.norm(tokens))
        return x + out.permute(0, 3, 1, 2)

    def _attend(self, x: Tensor) -> Tensor:
        """Attend within windows of (B, h, w, C), padded with zeros to whole windows."""
        batch, height, width, channels = x.shape
        side = self._window
        x = functional.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        rows, columns = x.shape[1] // side, x.shape[2] // side
        x = x.reshape(batch, rows, side, columns, side, channels).transpose(2, 3)
        x = self.attn(x.reshape(-1, side * side, channels))
        x = x.reshape(batch, rows, columns, side, side, channels).transpose(2, 3)
        return x.reshape(batch, rows * side, columns * side, channels)[:, :height, :width]


class _Attention(nn.Module):
    """Attention over the tokens (B, N, C) of a window, with a bias for each distance of rows and columns."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self._window = heads, window
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window**2))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, N, C)."""
        batch, count, width = x.shape
        # the layer gives q, k and v of the first head, then those of the second, and so on
        qkv = self.qkv(self.norm(x)).reshape(batch, count, self.heads, 3, -1)
        q, k, v = qkv.permute(3, 0, 2, 1, 4).unbind(0)
        bias = self.attention_biases[:, _distances(self._window, x.device)].to(q.dtype)
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        projected: Tensor = self.proj(out.transpose(1, 2).reshape(batch, count, width))
        return projected


def _distances(window: int, device: torch.device) -> Tensor:
    """Return (N, N): rows apart times the side of the window, plus columns apart, of each two tokens."""
    place = torch.arange(window, device=device)
    y, x = place.repeat_interleave(window), place.repeat(window)
    return (y[:, None] - y).abs() * window + (x[:, None] - x).abs()


class _Normed(nn.Module):
    """A convolution and a batch norm."""

    def __init__(self, into: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.c = nn.Conv2d(into, out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn(self.c(x))
        return out


class _Patches(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(
            _Normed(3, width // 2, 3, stride=2), nn.GELU(), _Normed(width // 2, width, 3, stride=2)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.seq(x)
        return out


class _InvertedBottleneck(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        wide = width * _EXPANSION
        self.conv1 = _Normed(width, wide)
        self.conv2 = _Normed(wide, wide, 3, groups=wide)
        self.conv3 = _Normed(wide, width)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.gelu(self.conv2(functional.gelu(self.conv1(x))))
        return functional.gelu(x + self.conv3(y))


class _Merge(nn.Module):
    """Change the width, and halve the resolution if the stride is 2."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _Normed(into, out)
        self.conv2 = _Normed(out, out, 3, stride=stride, groups=out)
        self.conv3 = _Normed(out, out)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv3(functional.gelu(self.conv2(functional.gelu(self.conv1(x)))))
        return out


class _ConvolutionStage(nn.Module):
    def __init__(self, width: int, depth: int, downsample: _Merge) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_InvertedBottleneck(width) for _ in range(depth))
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.downsample(x)
        return out


class _AttentionStage(nn.Module):
    def __init__(self, blocks: list[TinyBlock], downsample: _Merge | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.gelu(self.fc1(self.norm(x))))
        return out
