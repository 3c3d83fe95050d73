"""Count parameters as in Table 6 of the paper."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sac_wsi.model.nets.sac import build_model
from sac_wsi.model.nets.sizes import Family, ModelSize, paper_size


@dataclass(frozen=True)
class Counts:
    """Numbers of parameters; the others count the prompter only for ``sam-ft`` and ``unet``."""

    trainable: int
    frozen: int
    total: int
    prompter: int


def count_parameters(size: ModelSize) -> Counts:
    """Count parameters of a model that is built without memory."""
    with torch.device("meta"):
        model = build_model(size)
    prompter = sum(p.numel() for p in model.prompter.parameters()) if model.prompter else 0
    total = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for _, p in model.trainable())
    if size.family in ("sac", "msa"):
        total, trainable = total - prompter, trainable - prompter
    return Counts(trainable, total - trainable, total, prompter)


def paper_counts(family: Family, encoder: str) -> Counts:
    """Count the parameters of a row of the paper as its Table 6 does."""
    return count_parameters(paper_size(family, encoder))
