"""Save and load the state of a run: everything that the next step depends on, in one file."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sac_wsi.errors import CheckpointError
from sac_wsi.files.atomic import anything, atomic_file
from sac_wsi.model.nets.sac import SacModel

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class State:
    """The state of a run; model and optimiser are changed in place.

    Attributes:
        model: The model that is trained.
        optimiser: Its optimiser.
        average: The averaged weights, without the frozen ones from SAM's file.
        step: Number of steps done.
        best: Highest validation score so far.
        waited: Number of validations since then.
    """

    model: SacModel
    optimiser: torch.optim.Optimizer
    average: dict[str, Tensor]
    step: int = 0
    best: float = float("-inf")
    waited: int = 0

    def save(self, path: Path, images: str) -> None:
        """Save the state without frozen weights of SAM's file; ``images`` identifies the training data."""
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
        with atomic_file(path, anything) as file:  # in the folder of a run
            file.write(buffer.getbuffer())

    def load(self, path: Path, images: str) -> None:
        """Load a saved state.

        Raises:
            CheckpointError: The file cannot be read or is of other training data.
        """
        held = _read(path)
        if held.get("images") != images:
            raise CheckpointError(
                f"{path} was trained on other images, another split or another file of SAM. Give another "
                "output_dir, or remove that folder to start over."
            )
        self.model.load_state_dict(held["model"], strict=False)
        self.optimiser.load_state_dict(held["optimiser"])
        for name, value in held["average"].items():
            self.average[name].copy_(value)
        self.step, self.best, self.waited = held["step"], held["best"], held["waited"]

    def follow(self, weight: float) -> None:
        """Move the average towards the model, faster in the first steps: it starts from random weights."""
        weight = min(weight, (1 + self.step) / (10 + self.step))
        now = self.model.state_dict()
        for name in self.average:
            value = now[name]
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - weight)
            else:
                self.average[name].copy_(value)


def new_state(model: SacModel, optimiser: torch.optim.Optimizer, *, over_sam: bool) -> State:
    """Return the state before the first step.

    ``over_sam``: the frozen weights of SAM's parts are read from SAM's file and left out of the state.
    """
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
        raise CheckpointError(f"{path} is not the state of a training run. Remove it to start over.")
    return held
