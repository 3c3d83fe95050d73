"""A prompter over EfficientNet-Lite0: a pretrained encoder, and a decoder that ends at half resolution.

image ─► stride 2 ─► 4 ─► 8 ─► 16     encoder: inverted residual blocks, mostly depthwise
             │       │      │      │
maps  ◄─ stride 2 ◄─ 4 ◄──  8 ◄────┘     decoder: 3×3 convolutions over both

The last layer gives the 2×2 pixels of each cell of stride 2, so the maps have the resolution of the image and
no layer works on all its pixels. At the default width it takes about 19,000 multiplications a pixel, a U-Net
of width 16 takes 46,000.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from sac_wsi.model.nets.convolution import check_input
from sac_wsi.model.nets.sizes import LITE_STAGES, LITE_TAKEN

_STEM = 32


class LitePrompter(nn.Module):
    """Map normalised pixels (B, 3, H, W) to maps (B, M, H, W); H and W are multiples of 16.

    width  filters of the decoder at stride 2; at strides 4, 8 and 16 it has two, three and four times as many
    maps   number of maps, as of ``UNet``
    convolutions  3×3 convolutions of each decoder stage; those after the first begin as no change
    """

    def __init__(self, width: int = 32, maps: int = 3, convolutions: int = 1) -> None:
        super().__init__()
        self.encoder = LiteEncoder()
        self.feature_widths = {8: 3 * width, 4: 2 * width, 2: width}
        *skips, last = (LITE_STAGES[stage][1] for stage in LITE_TAKEN)
        widths = [width * times for times in (4, 3, 2, 1)]
        self.neck = _convolution(last, widths[0])
        self.reduce = nn.ModuleList(_convolution(into, out, 1) for into, out in pairwise(widths))
        self.up = nn.ModuleList(
            _convolution(out + skip, out) for out, skip in zip(widths[1:], skips[::-1], strict=True)
        )
        self.refine = nn.ModuleList(
            nn.Sequential(*(_Refinement(out) for _ in range(convolutions - 1))) for out in widths
        )
        self.finest = _convolution(width, width)
        self.out = nn.Conv2d(width, 4 * maps, kernel_size=1)
        self.apply(_initialise)
        for name, parameter in self.refine.named_parameters():
            if name.endswith("layers.1.weight"):
                nn.init.zeros_(parameter)
        # the four pixels of a cell begin equal: the maps begin smooth
        with torch.no_grad():
            self.out.weight.copy_(self.out.weight[::4].repeat_interleave(4, dim=0))

    def forward(self, x: Tensor) -> Tensor:
        """Return the (B, M, H, W) maps."""
        return self.with_features(x)[0]

    def with_features(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the maps and the decoder's features at strides 8, 4 and 2."""
        check_input(x)
        *skips, x = self.encoder(x)
        x = self.refine[0](self.neck(x))
        features = []
        for stage, (reduce, block) in enumerate(zip(self.reduce, self.up, strict=True), start=1):
            x = functional.interpolate(reduce(x), scale_factor=2.0, mode="nearest")
            x = self.refine[stage](block(torch.cat((x, skips.pop()), dim=1)))
            features.append(x)
        return functional.pixel_shuffle(self.out(self.finest(x)), 2), features


class LiteEncoder(nn.Module):
    """EfficientNet-Lite0 to stride 16; features at strides 2, 4, 8 and 16."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolution(3, _STEM, 3, stride=2, relu6=True)
        self.stages = nn.ModuleList()
        into = _STEM
        for expansion, out, blocks, stride, kernel in LITE_STAGES:
            stage = nn.Sequential()
            for number in range(blocks):
                stage.append(_Block(into, out, expansion, kernel, stride if number == 0 else 1))
                into = out
            self.stages.append(stage)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features (B, 16, H/2, W/2), 24, 40 and (B, 112, H/16, W/16)."""
        taken = []
        x = self.stem(x)
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in LITE_TAKEN:
                taken.append(x)
        return taken


class _Refinement(nn.Module):
    """A 3×3 convolution that adds to its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = _convolution(width, width, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.layers(x))


class _Block(nn.Module):
    """Inverted residual block: widen, filter each channel alone, narrow."""

    def __init__(self, into: int, out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = into * expansion
        self.layers = nn.Sequential()
        if expansion > 1:
            self.layers.append(_convolution(into, wide, 1, relu6=True))
        self.layers.append(_convolution(wide, wide, kernel, stride=stride, groups=wide, relu6=True))
        self.layers.append(_convolution(wide, out, 1, relu=False))
        self._residual = stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return x + out if self._residual else out


def _convolution(
    into: int,
    out: int,
    kernel: int = 3,
    *,
    stride: int = 1,
    groups: int = 1,
    relu: bool = True,
    relu6: bool = False,
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(into, out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
    ]
    if relu:
        layers.append(nn.ReLU6(inplace=True) if relu6 else nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
