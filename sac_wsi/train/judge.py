"""How good a model is: what it finds in whole images, and its loss on a few fixed crops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch

from sac_wsi.errors import DataError
from sac_wsi.metrics import score_image, summarise
from sac_wsi.model.features import Runner, arithmetic
from sac_wsi.model.sac import SacModel
from sac_wsi.model.tiles import PersonPoints, tile_nuclei
from sac_wsi.nuclei import Nuclei
from sac_wsi.prompts import expert_points
from sac_wsi.segmenter import RgbTile
from sac_wsi.train.config import TrainConfig
from sac_wsi.train.images import Images
from sac_wsi.train.judged import JudgedImage
from sac_wsi.train.objective import Lesson, loss_of, on_device
from sac_wsi.whole_image import Labels, label_image

Find = Callable[[PersonPoints, Sequence[RgbTile]], list[Nuclei]]
TOLD = ("dice", "iou", "aji", "pq", "f1_det")


def judge(
    find: Find,
    images: Images,
    *,
    tile_px: int,
    halo_px: int,
    experts: int = 0,
    objects: bool = False,
    on_bad: Callable[[DataError], None] | None = None,
) -> Iterator[JudgedImage]:
    """Image by image, at the images' own resolution; ``experts`` points from the truth help."""
    for index in range(len(images)):
        try:
            image = images.read(index)
        except DataError as error:
            if on_bad is None:
                raise
            on_bad(error)
            continue
        rgb, truth = image.rgb, image.labels
        person = _experts(truth, experts, index, image.zoom)
        found = label_image(partial(find, person), rgb, tile_px, halo_px, image.zoom)
        yield JudgedImage(
            rgb, truth, found, score_image(truth, found, name=images.name(index), objects=objects)
        )


def _experts(truth: Labels, count: int, seed: int, zoom: float) -> PersonPoints:
    """Points in the pixels of the model."""
    if not count:
        return PersonPoints()
    xy = expert_points(truth, count, np.random.default_rng(seed)).xy
    yx = np.floor((xy[:, ::-1] + 0.5) * zoom).astype(np.int32)
    return PersonPoints(yx, np.ones(len(yx), np.bool_))


def judge_model(
    model: SacModel,
    config: TrainConfig,
    images: Images,
    device: str,
    on_bad: Callable[[DataError], None] | None = None,
) -> Iterator[JudgedImage]:
    """As it will be used, and in the same precision."""
    runner = Runner(model, device, config.schedule.bf16)
    return judge(
        partial(tile_nuclei, runner, config.inference, config.mpp),
        images,
        tile_px=config.size.tile_px,
        halo_px=math.ceil(config.halo_um / config.mpp),
        experts=config.objective.experts,
        on_bad=on_bad,
    )


def image_means(images: Iterator[JudgedImage]) -> dict[str, float]:
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
