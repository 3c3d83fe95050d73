"""Judges the weights now and then, and keeps the best and the last."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from sac_wsi.model.checkpoint.file import save_checkpoint
from sac_wsi.model.nets.sac import SacModel, build_model
from sac_wsi.train.cards import card_at, card_of
from sac_wsi.train.judge import exam_loss, image_means, judge_model
from sac_wsi.train.run_files import BEST, LAST
from sac_wsi.train.step import no_number

if TYPE_CHECKING:
    from sac_wsi.datasets.images import Images
    from sac_wsi.train.config import TrainConfig
    from sac_wsi.train.loader import LessonPlan
    from sac_wsi.train.log import Log
    from sac_wsi.train.source import Source
    from sac_wsi.train.state import State

_EXAM_LESSONS = 4


class Examiner:
    """``plan`` draws the few crops on which the loss is told; the images are judged whole."""

    def __init__(self, config: TrainConfig, source: Source, images: Images, plan: LessonPlan) -> None:
        self._config, self._images, self._on_bad = config, images, plan.on_bad
        self._exam = [plan.lesson(i) for i in range(_EXAM_LESSONS)]
        self._card = card_of(config, source)
        self._out = Path(config.output_dir)

    def judge(self, state: State, device: str, log: Log) -> None:
        config = self._config
        model = averaged(state, config).to(device)
        values = exam_loss(model, self._exam, config, device)
        if not math.isfinite(values["loss"]):
            raise no_number(values, state.step)
        by = config.schedule.best_by
        if by != "loss":
            values |= image_means(judge_model(model, config, self._images, device, self._on_bad))
        log.write("validation", state.step, values)
        score = -values["loss"] if by == "loss" else values[by]
        state.waited += 1
        card = card_at(self._card, state.step, values)
        if score > state.best or not (self._out / BEST).exists():
            state.best, state.waited = score, 0
            save_checkpoint(self._out / BEST, model, card)
        save_checkpoint(self._out / LAST, model, card)


def averaged(state: State, config: TrainConfig) -> SacModel:
    """The model that is kept: the averaged weights, or those of now."""
    model = build_model(config.size)
    model.load_state_dict(state.model.state_dict())
    if config.schedule.ema:
        model.load_state_dict(state.average, strict=False)
    return model.eval()
