"""Create a run's model and optimiser before the first step."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sac_wsi.errors import CheckpointError
from sac_wsi.model.checkpoint.file import load_model
from sac_wsi.model.nets.sac import SacModel, build_model, learns, load_sam
from sac_wsi.model.nets.sam import read_sam_file
from sac_wsi.train.base import base_file
from sac_wsi.train.state import State, new_state

if TYPE_CHECKING:
    from sac_wsi.train.config import TrainConfig


def create_state(config: TrainConfig, device: str, *, resumed: bool = False) -> State:
    """Return the model and optimiser of a run before its first step.

    Args:
        config: The settings of the run.
        device: Where the model is to be trained.
        resumed: Do not copy weights from ``start``: a saved state that is loaded later contains them.
    """
    torch.manual_seed(config.objective.seed)
    model = build_model(config.size)
    if base := base_file(config.base):
        load_sam(model, read_sam_file(base), str(base))
    if config.start and not resumed:
        copy_start_weights(model, config, base)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_trainable(config, name))
    model = model.to(device)
    if config.schedule.checkpointing and model.image_encoder is not None:
        checkpoint_blocks(model.image_encoder)
    chosen = [p for p in model.parameters() if p.requires_grad]
    schedule = config.schedule
    optimiser = torch.optim.AdamW(chosen, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    return new_state(model, optimiser, over_sam=bool(config.base))


def is_trainable(config: TrainConfig, name: str) -> bool:
    """Return whether the parameter ``name`` is trained.

    On SAM's weights, the family decides what is trained; from random weights, all of the part is trained.
    """
    is_prompter, part = name.startswith("prompter."), config.objective.part
    if part != "both" and is_prompter != (part == "prompter"):
        return False
    return not config.base or learns(config.size.family, name)


def copy_start_weights(model: SacModel, config: TrainConfig, base: Path | None) -> None:
    """Copy those parts of ``config.start`` into ``model`` that have the same sizes, such as the prompter.

    Raises:
        CheckpointError: No part fits, or a prompter is needed and does not fit.
    """
    path = Path(config.start)
    other, _ = load_model(path, base)
    held, wanted = other.state_dict(), model.state_dict()
    taken: dict[str, Tensor] = {}
    # the output of a decoder that corrects the prompter differs in meaning from that of other decoders
    alike = other.size.over_prompter == config.size.over_prompter
    rest = ("stem.", "image_encoder.", "prompt_encoder.", "mask_decoder.")
    for part in ("prompter.", *(rest if alike else ())):
        names = [n for n in wanted if n.startswith(part) and (n in held or not _is_added(n))]
        if all(name in held and held[name].shape == wanted[name].shape for name in names):
            taken |= {name: held[name] for name in names}
        elif part == "prompter." and config.needs_prompter:
            raise CheckpointError(
                f"{path} has no prompter of the size {config.size.prompter}, and objective.part=sac "
                "does not train one. Give another start, or the sizes of this one."
            )
    if not taken:
        raise CheckpointError(
            f"{path} has no part of the sizes that this model needs. Give another start, or leave it out."
        )
    model.load_state_dict(taken, strict=False)


def _is_added(name: str) -> bool:
    """Return whether a layer begins as no change, so that weights without it fit as well."""
    return name.startswith("prompter.refine.")


def checkpoint_blocks(encoder: nn.Module) -> None:
    """Make each block recompute its activations in the backward pass, which needs less memory."""
    for block in encoder.blocks:  # type: ignore[union-attr]
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
