"""SAM with random weights, which replaces Meta's SAM at small scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sac_wsi.files.atomic import make_folder
from sac_wsi.model.checkpoint.card import Card
from sac_wsi.model.checkpoint.file import save_checkpoint
from sac_wsi.model.nets.sac import build_model
from sac_wsi.reproduce.training_config import halo_um

if TYPE_CHECKING:
    from pathlib import Path

    from sac_wsi.model.checkpoint.inference import InferenceSettings
    from sac_wsi.model.nets.sizes import ModelSize


def write_untrained(path: Path, size: ModelSize, mpp: float, inference: InferenceSettings) -> Path:
    """Write a checkpoint of random weights, the same at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(size)
    make_folder(path.parent)
    card = Card(
        "untrained", size, mpp, (mpp / 2, mpp * 2), halo_um=halo_um(size.tile_px, mpp), inference=inference
    )
    save_checkpoint(path, model, card)
    return path
