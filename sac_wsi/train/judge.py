"""How good a model is: what it finds in whole images, and its loss on a few fixed crops."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import torch

from sac_wsi.errors import DataError
from sac_wsi.evaluate.metrics import summarise
from sac_wsi.evaluate.score_images import score_images
from sac_wsi.model.predict.features import Runner, arithmetic
from sac_wsi.model.predict.tiles import tile_nuclei
from sac_wsi.train.objective import Lesson, loss_of, on_device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sac_wsi.datasets.images import Images
    from sac_wsi.evaluate.score_images import ScoredImage
    from sac_wsi.model.nets.sac import SacModel
    from sac_wsi.train.config import TrainConfig

TOLD = ("dice", "iou", "aji", "pq", "f1_det")


def judge_model(
    model: SacModel,
    config: TrainConfig,
    images: Images,
    device: str,
    on_bad: Callable[[DataError], None] | None = None,
) -> Iterator[ScoredImage]:
    """As it will be used, and in the same precision."""
    runner = Runner(model, device, config.schedule.bf16)
    return score_images(
        partial(tile_nuclei, runner, config.inference, config.mpp),
        images,
        tile_px=config.size.tile_px,
        halo_px=math.ceil(config.halo_um / config.mpp),
        experts=config.objective.experts,
        on_bad=on_bad,
    )


def image_means(images: Iterator[ScoredImage]) -> dict[str, float]:
    scores = [judged.scores for judged in images]
    if not scores:
        raise DataError("None of the images to validate on can be read: `sac-wsi data check` tells why.")
    told = summarise(scores)
    return {name: told.mean[name] for name in TOLD} | {"f1_pooled": told.f1_pooled}


def exam_loss(model: SacModel, exam: Sequence[Lesson], config: TrainConfig, device: str) -> dict[str, float]:
    """Mean of each term over the lessons, and of their sum."""
    sums: dict[str, float] = {"loss": 0.0}
    for lesson in exam:
        with torch.inference_mode(), arithmetic(device, config.schedule.bf16):
            terms = loss_of(model, on_device(lesson, device), config.objective, config.inference, config.mpp)
        for name, value in terms.items():
            sums[f"loss_{name}"] = sums.get(f"loss_{name}", 0.0) + float(value) / len(exam)
            sums["loss"] += float(value) / len(exam)
    return sums
