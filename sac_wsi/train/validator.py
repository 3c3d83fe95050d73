"""Validate the weights at intervals, and save the best and the last ones."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from sac_wsi.model.checkpoint.file import save_checkpoint
from sac_wsi.model.nets.sac import SacModel, build_model
from sac_wsi.train.cards import card_at, card_of
from sac_wsi.train.run_folder import BEST, LAST
from sac_wsi.train.step import nonfinite_loss
from sac_wsi.train.validation import image_means, score_model, validation_loss

if TYPE_CHECKING:
    from sac_wsi.datasets.images import Images
    from sac_wsi.train.config import TrainConfig
    from sac_wsi.train.loader import BatchSampler
    from sac_wsi.train.log import Log
    from sac_wsi.train.source import Source
    from sac_wsi.train.state import State

_VALIDATION_BATCHES = 4


class Validator:
    """Validate the weights of a run and save its best and last checkpoints.

    The loss is computed on a few fixed crops that ``sampler`` draws; the scores are those of whole images.
    """

    def __init__(self, config: TrainConfig, source: Source, images: Images, sampler: BatchSampler) -> None:
        self._config, self._images, self._on_bad = config, images, sampler.on_bad
        self._batches = [sampler.make_batch(i) for i in range(_VALIDATION_BATCHES)]
        self._card = card_of(config, source)
        self._out = Path(config.output_dir)

    def validate(self, state: State, device: str, log: Log) -> None:
        """Compute loss and scores, log them, and save the checkpoints; update ``state`` with the result."""
        config = self._config
        model = averaged(state, config).to(device)
        values = validation_loss(model, self._batches, config, device)
        if not math.isfinite(values["loss"]):
            raise nonfinite_loss(values, state.step)
        by = config.schedule.best_by
        if by != "loss":
            values |= image_means(score_model(model, config, self._images, device, self._on_bad))
        log.write("validation", state.step, values)
        score = -values["loss"] if by == "loss" else values[by]
        state.waited += 1
        card = card_at(self._card, state.step, values)
        if score > state.best or not (self._out / BEST).exists():
            state.best, state.waited = score, 0
            save_checkpoint(self._out / BEST, model, card)
        save_checkpoint(self._out / LAST, model, card)


def averaged(state: State, config: TrainConfig) -> SacModel:
    """Return the model to save: with the averaged weights, or the current ones without ``schedule.ema``."""
    model = build_model(config.size)
    model.load_state_dict(state.model.state_dict())
    if config.schedule.ema:
        model.load_state_dict(state.average, strict=False)
    return model.eval()
