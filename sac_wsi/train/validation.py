"""Compute the scores of a model on whole images, and its loss on a few fixed batches."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import torch

from sac_wsi.errors import DataError
from sac_wsi.evaluate.metrics import summarise
from sac_wsi.evaluate.score_images import score_images
from sac_wsi.model.predict.tiles import tile_nuclei
from sac_wsi.model.predict.torch_runner import TorchRunner, arithmetic
from sac_wsi.train.objective import TrainingBatch, loss_of, on_device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sac_wsi.datasets.images import Images
    from sac_wsi.evaluate.score_images import ScoredImage
    from sac_wsi.model.nets.sac import SacModel
    from sac_wsi.train.config import TrainConfig

_SCORE_NAMES = ("dice", "iou", "aji", "pq", "f1_det")


def score_model(
    model: SacModel,
    config: TrainConfig,
    images: Images,
    device: str,
    on_bad: Callable[[DataError], None] | None = None,
) -> Iterator[ScoredImage]:
    """Yield each image with the scores of the nuclei that the model finds, in the precision of training."""
    runner = TorchRunner(model, device, config.schedule.bf16)
    return score_images(
        partial(tile_nuclei, runner, config.inference.in_pixels(config.mpp)),
        images,
        tile_px=config.size.tile_px,
        halo_px=math.ceil(config.halo_um / config.mpp),
        experts=config.objective.experts,
        on_bad=on_bad,
    )


def image_means(images: Iterator[ScoredImage]) -> dict[str, float]:
    """Return the mean of each score over the images, and F1 of all nuclei together.

    Raises:
        DataError: No image can be read.
    """
    scores = [image.scores for image in images]
    if not scores:
        raise DataError("No validation image can be read: `sac-wsi data check` names the reasons.")
    summary = summarise(scores)
    return {name: summary.mean[name] for name in _SCORE_NAMES} | {"f1_pooled": summary.f1_pooled}


def validation_loss(
    model: SacModel, batches: Sequence[TrainingBatch], config: TrainConfig, device: str
) -> dict[str, float]:
    """Return the mean of each term of the loss over the batches, and the mean of their sum as "loss"."""
    sums: dict[str, float] = {"loss": 0.0}
    use = config.inference.in_pixels(config.mpp)
    for batch in batches:
        with torch.inference_mode(), arithmetic(device, config.schedule.bf16):
            terms = loss_of(model, on_device(batch, device), config.objective, use)
        for name, value in terms.items():
            sums[f"loss_{name}"] = sums.get(f"loss_{name}", 0.0) + float(value) / len(batches)
            sums["loss"] += float(value) / len(batches)
    return sums
