"""Where a run is: everything that the next step depends on, in one file."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sac_wsi.errors import CheckpointError
from sac_wsi.files import atomic_file
from sac_wsi.model.sac import SacModel


@dataclass
class State:
    """The model and its optimiser are changed in place; ``average`` are the weights that are kept.

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
        """``images`` names what is learnt from."""
        buffer = io.BytesIO()
        torch.save(
            {
                "images": images,
                "model": self.model.state_dict(),
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
                f"{path} has learnt from other images, or another split of them. Give another output_dir, "
                "or remove that folder to begin anew."
            )
        self.model.load_state_dict(held["model"])
        self.optimiser.load_state_dict(held["optimiser"])
        self.average = held["average"]
        self.step, self.best, self.waited = held["step"], held["best"], held["waited"]

    def follow(self, weight: float) -> None:
        """Move the average towards the model; early on it follows faster, as it began at random."""
        weight = min(weight, (1 + self.step) / (10 + self.step))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - weight)
            else:
                self.average[name].copy_(value)


def begin(model: SacModel, optimiser: torch.optim.Optimizer) -> State:
    average = {name: value.detach().clone() for name, value in model.state_dict().items()}
    return State(model, optimiser, average)


def _read(path: Path) -> dict[str, Any]:
    try:
        held: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({type(error).__name__}). Remove it to begin anew."
        ) from None
    return held
