"""What the prompters share: the check of their input, and the folding of their batch norms."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sac_wsi.model.nets.sizes import PROMPTER_SIDE_MULTIPLE


def check_input(x: Tensor) -> None:
    """Raise ValueError if an input is not (B, 3, H, W) with H and W multiples of 16."""
    if x.ndim != 4 or x.shape[1] != 3:
        raise ValueError(f"the prompter got an input of shape {tuple(x.shape)}; needed (B, 3, H, W)")
    height, width = x.shape[2:]
    step = PROMPTER_SIDE_MULTIPLE
    if height % step or width % step:
        raise ValueError(
            f"the prompter got {height} x {width} pixels; needed multiples of {step}: pad to "
            f"{-height // step * -step} x {-width // step * -step}"
        )


def fold_norms(network: nn.Module) -> None:
    """Fold each batch norm into the convolution before it, in place, for inference only."""
    for block in network.modules():
        if not isinstance(block, nn.Sequential):
            continue
        for place, (layer, norm) in enumerate(pairwise(list(block))):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                block[place], block[place + 1] = fuse_conv_bn_eval(layer, norm), nn.Identity()
