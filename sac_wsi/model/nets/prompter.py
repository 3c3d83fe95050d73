"""The auto-prompt generator, of either kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sac_wsi.model.nets.lite import LitePrompter
from sac_wsi.model.nets.unet import UNet

if TYPE_CHECKING:
    from sac_wsi.model.nets.sizes import PrompterSize

Prompter = UNet | LitePrompter


def build_prompter(size: PrompterSize) -> Prompter:
    """Build a prompter with random weights, laid out so that it is fast on a CPU."""
    prompter: Prompter
    if size.kind == "lite0":
        prompter = LitePrompter(size.width, size.maps, size.convolutions)
    else:
        prompter = UNet(size.width, size.maps)
    # twice as fast on a CPU
    prompter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return prompter
