"""What the prompters share: the check of their input, and the folding of their batch norms."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def check_input(x: Tensor, side_multiple: int) -> None:
    """Raise ValueError if an input is not (B, 3, H, W) with H and W multiples of ``side_multiple``."""
    if x.ndim != 4 or x.shape[1] != 3:
        raise ValueError(f"the prompter got an input of shape {tuple(x.shape)}; needed (B, 3, H, W)")
    height, width = x.shape[2:]
    if height % side_multiple or width % side_multiple:
        raise ValueError(
            f"the prompter got {height} x {width} pixels; needed multiples of {side_multiple}: pad to "
            f"{-height // side_multiple * -side_multiple} x {-width // side_multiple * -side_multiple}"
        )


def fold_norms(network: nn.Module) -> None:
    """Fold each batch norm into the convolution before it, in place, for inference only."""
    for block in network.modules():
        if not isinstance(block, nn.Sequential):
            continue
        for place, (layer, norm) in enumerate(pairwise(list(block))):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                block[place], block[place + 1] = fuse_conv_bn_eval(layer, norm), nn.Identity()
