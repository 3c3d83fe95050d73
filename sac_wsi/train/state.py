"""Where a run is: everything that the next step depends on, in one file."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sac_wsi.errors import CheckpointError
from sac_wsi.files.atomic import atomic_file
from sac_wsi.model.nets.sac import SacModel

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class State:
    """The model and its optimiser are changed in place.

    average  the weights that are kept, of all but what comes from SAM's file and stays as it is
    step     steps done
    best     highest score on validation images so far
    waited   validations since
    """

    model: SacModel
    optimiser: torch.optim.Optimizer
    average: dict[str, Tensor]
    step: int = 0
    best: float = float("-inf")
    waited: int = 0

    def save(self, path: Path, images: str) -> None:
        """``images`` names what is learnt from. What SAM's file holds and stays as it is, is left out."""
        buffer, now = io.BytesIO(), self.model.state_dict()
        torch.save(
            {
                "images": images,
                "model": {name: now[name] for name in self.average},
                "optimiser": self.optimiser.state_dict(),
                "average": self.average,
                "step": self.step,
                "best": self.best,
                "waited": self.waited,
            },
            buffer,
        )
        with atomic_file(path) as file:
            file.write(buffer.getbuffer())

    def load(self, path: Path, images: str) -> None:
        """Go on from a file, if it has learnt from the same images."""
        held = _read(path)
        if held.get("images") != images:
            raise CheckpointError(
                f"{path} has learnt from other images or another SAM, or another split. Give another "
                "output_dir, or remove that folder to start over."
            )
        self.model.load_state_dict(held["model"], strict=False)
        self.optimiser.load_state_dict(held["optimiser"])
        for name, value in held["average"].items():
            self.average[name].copy_(value)
        self.step, self.best, self.waited = held["step"], held["best"], held["waited"]

    def follow(self, weight: float) -> None:
        """Move the average towards the model; early on it follows faster, as it began at random."""
        weight = min(weight, (1 + self.step) / (10 + self.step))
        now = self.model.state_dict()
        for name in self.average:
            value = now[name]
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - weight)
            else:
                self.average[name].copy_(value)


def begin(model: SacModel, optimiser: torch.optim.Optimizer, *, over_sam: bool) -> State:
    """``over_sam``: what is frozen of SAM's parts comes from SAM's file each time."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    of_sam = {name for name in frozen if over_sam and not name.startswith("prompter.")}
    kept = {name: value.detach().clone() for name, value in model.state_dict().items() if name not in of_sam}
    return State(model, optimiser, kept)


def _read(path: Path) -> dict[str, Any]:
    try:
        held: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({type(error).__name__}). Remove it to start over."
        ) from None
    if not isinstance(held, dict):
        raise CheckpointError(f"{path} is no state of a training. Remove it to start over.")
    return held
