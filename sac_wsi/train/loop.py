"""Run the training loop; a run that was killed at any moment continues from its last saved state."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sac_wsi.errors import ConfigError, DataError
from sac_wsi.files.atomic import make_folder, sha256_of
from sac_wsi.system import interrupt
from sac_wsi.train.augment import NONE
from sac_wsi.train.base import base_file
from sac_wsi.train.initial_state import create_state
from sac_wsi.train.loader import BatchSampler, load_batches
from sac_wsi.train.log import Listener, Log
from sac_wsi.train.ranks import Ranks, join
from sac_wsi.train.run_folder import BEST, LAST, LOG, STATE, claim_folder
from sac_wsi.train.run_report import write_run_report
from sac_wsi.train.step import learning_rate_at, take_step
from sac_wsi.train.validator import Validator

if TYPE_CHECKING:
    from sac_wsi.datasets.images import Images
    from sac_wsi.train.config import ScheduleSettings, TrainConfig
    from sac_wsi.train.source import Source
    from sac_wsi.train.state import State

_VALIDATION_SEED = 1 << 20


@dataclass(frozen=True)
class TrainingResult:
    """The result of one call.

    Attributes:
        best: File of the best weights.
        complete: Whether the training is finished; if not, another call continues it.
        step: Number of steps done, all calls together.
        seconds: Duration of this call.
    """

    best: Path
    complete: bool
    step: int
    seconds: float


def train(config: TrainConfig, source: Source, *, listener: Listener | None = None) -> TrainingResult:
    """Train a model, or continue the run in ``config.output_dir``.

    Raises:
        ConfigError: The devices cannot share a batch equally.
        InputChanged: The folder contains a run of other settings.
    """
    started, listener = time.monotonic(), listener or Listener()
    with join() as ranks:
        reporter = listener if ranks.first else Listener()
        if config.schedule.batch % ranks.count:
            raise ConfigError(
                f"schedule.batch is {config.schedule.batch} on {ranks.count} devices: needed a multiple of "
                "their number."
            )
        make_folder(Path(config.output_dir))
        if ranks.first:
            claim_folder(config)
        images, held_back = source.part("train"), source.part("val")
        step, complete = _train_steps(config, source, images, held_back, ranks, reporter, started)
    out = Path(config.output_dir)
    best = out / BEST if (out / BEST).exists() else out / LAST
    if ranks.first and complete:
        write_run_report(config, held_back, best)
    return TrainingResult(best, complete, step, time.monotonic() - started)


def _train_steps(
    config: TrainConfig,
    source: Source,
    images: Images,
    held_back: Images,
    ranks: Ranks,
    listener: Listener,
    started: float,
) -> tuple[int, bool]:
    """Train and return the number of steps done and whether the training is finished."""
    out, schedule = Path(config.output_dir), config.schedule
    sampler = _sampler(config, images, ranks, listener)
    if config.data.draw == "pixels":
        sampler = sampler.weighted_by_pixels()
    if config.data.shares:
        sampler = sampler.weighted_by_set(config.data.shares)
    epoch_steps = schedule.epoch_steps or _steps_in_epoch(config, sampler)
    steps, every = schedule.epochs * epoch_steps, schedule.validate_every * epoch_steps
    resumed, trained_on = (out / STATE).exists(), _identity(config, source)
    state = create_state(config, ranks.device, resumed=resumed)
    if resumed:
        state.load(out / STATE, trained_on)
    validation = _sampler(config, held_back, ranks, listener, validation=True)
    validator = Validator(config, source, held_back, validation) if ranks.first else None
    log = Log(out / LOG if ranks.first else None, listener.on_event)
    numbers = (state.step * schedule.accumulate, steps * schedule.accumulate)
    threads = max(2, (os.cpu_count() or 2) // ranks.count)
    passes = iter(load_batches(sampler, *numbers, threads))
    out_of_time = False
    while not _is_over(state, epoch_steps, schedule) and not out_of_time:
        interrupt.check()
        some = [next(passes) for _ in range(schedule.accumulate)]
        log.add(take_step(state, some, config, ranks, learning_rate_at(state.step, steps, schedule)))
        listener.on_step(state.step, steps)
        out_of_time = ranks.any(bool(schedule.minutes) and time.monotonic() - started > 60 * schedule.minutes)
        validate = state.step % every == 0 or state.step == steps
        if validate or out_of_time:
            log.write_means("train", state.step)
        if validate:
            if validator is not None:
                validator.validate(state, ranks.device, log)
            _agree(state, ranks)
        if ranks.first and (validate or out_of_time):
            state.save(out / STATE, trained_on)
    return state.step, _is_over(state, epoch_steps, schedule)


def _identity(config: TrainConfig, source: Source) -> str:
    """Return what identifies images and SAM's weights, whatever their paths."""
    base = base_file(config.base)
    return f"{source.identity} {sha256_of(base) if base else ''}"


def _sampler(
    config: TrainConfig, images: Images, ranks: Ranks, listener: Listener, *, validation: bool = False
) -> BatchSampler:
    with_masks = config.objective.part != "prompter"
    true_prompts = with_masks and not config.size.over_prompter
    return BatchSampler(
        images=images,
        batch_size=config.schedule.batch,
        crop_px=config.crop_px,
        maps=config.size.prompter.maps,
        experts=config.objective.experts if with_masks else 0,
        nuclei=config.objective.nuclei if true_prompts else 0,
        seed=config.objective.seed + (_VALIDATION_SEED if validation else 0),
        augment=NONE if validation else config.augment,
        share=(0, 1) if validation else (ranks.rank, ranks.count),
        on_bad=_Skipper(listener) if config.data.skip_bad else None,
    )


class _Skipper:
    """Report each image that cannot be read once."""

    def __init__(self, listener: Listener) -> None:
        self._listener, self._reported = listener, set[str]()

    def __call__(self, error: DataError) -> None:
        if str(error) not in self._reported:
            self._reported.add(str(error))
            self._listener.on_bad(str(error))


def _steps_in_epoch(config: TrainConfig, sampler: BatchSampler) -> int:
    """Return the number of steps whose crops have as many pixels as all images together."""
    pixels = float(sampler.pixels().sum())
    shown = config.schedule.batch * config.schedule.accumulate * config.crop_px**2
    return max(1, math.ceil(pixels / shown))


def _agree(state: State, ranks: Ranks) -> None:
    """Copy the number of validations without improvement from the first process to all others."""
    if ranks.count > 1:
        waited = torch.tensor(float(state.waited if ranks.first else 0), device=ranks.device)
        ranks.average([waited])
        state.waited = round(float(waited) * ranks.count)


def _is_over(state: State, epoch_steps: int, schedule: ScheduleSettings) -> bool:
    impatient = schedule.patience and state.step >= schedule.least_epochs * epoch_steps
    return (
        bool(impatient and state.waited >= schedule.patience) or state.step >= schedule.epochs * epoch_steps
    )
