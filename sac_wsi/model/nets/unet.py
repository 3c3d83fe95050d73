"""The paper's auto-prompt generator: the classic four-level U-Net, one logit map (or more) per image.

It has batch norm, transposed convolutions with bias, and 3×3 convolutions without. With 32 filters in the
first level and one map it has 7,763,041 parameters, as follows from the paper's Table 6.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from sac_wsi.model.nets.convolution import check_input
from sac_wsi.model.nets.sizes import UNET_LEVELS


class UNet(nn.Module):
    """Map normalised pixels (B, 3, H, W) to logits (B, M, H, W); H and W are multiples of 16.

    width  filters of the first level; each level below has twice as many
    maps   1: foreground, as in the paper; 3: foreground, centre, boundary, for single nuclei; 5: also the
           offset (y, x) of each pixel from the centre of its nucleus, without a sigmoid
    """

    def __init__(self, width: int = 32, maps: int = 1) -> None:
        super().__init__()
        self.feature_widths = {stride: width * stride for stride in (8, 4, 2, 1)}
        widths = [width * 2**level for level in range(UNET_LEVELS + 1)]
        self.down = nn.ModuleList(_double_convolution(into, out) for into, out in pairwise([3, *widths]))
        self.pool = nn.MaxPool2d(2)
        up = widths[::-1]
        self.upsample = nn.ModuleList(
            nn.ConvTranspose2d(into, out, kernel_size=2, stride=2) for into, out in pairwise(up)
        )
        self.up = nn.ModuleList(_double_convolution(2 * out, out) for out in up[1:])
        self.out = nn.Conv2d(width, maps, kernel_size=1)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Return the (B, maps, side, side) logits of normalised tiles."""
        return self.with_features(x)[0]

    def with_features(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the logits and the features at strides 8, 4, 2 and 1 (stride x ``width`` channels)."""
        check_input(x)
        skips, features = [], []
        for block in self.down[:-1]:
            x = block(x)
            skips.append(x)
            x = self.pool(x)
        x = self.down[-1](x)
        for upsample, block in zip(self.upsample, self.up, strict=True):
            x = block(torch.cat((upsample(x), skips.pop()), dim=1))
            features.append(x)
        return self.out(x), features


def _double_convolution(into: int, out: int) -> nn.Sequential:
    # no bias: the batch norm that follows would take it out again
    return nn.Sequential(
        nn.Conv2d(into, out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
        nn.Conv2d(out, out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
    )


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    elif isinstance(module, nn.ConvTranspose2d):
        # with stride 2 and 2×2 weights each output pixel sums `into` terms. torch's own start counts
        # otherwise and leaves the upsampled half of the input far weaker than the skip beside it
        nn.init.normal_(module.weight, std=1 / math.sqrt(module.in_channels))
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
        nn.init.zeros_(module.bias)
