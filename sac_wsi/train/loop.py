"""The training loop, whole. It can be killed at any moment and goes on from the last saved state."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sac_wsi.errors import ConfigError, DataError, SacWsiError
from sac_wsi.files import make_folder
from sac_wsi.model.checkpoint import save_checkpoint
from sac_wsi.model.sac import SacModel, build_model
from sac_wsi.train.augment import NONE
from sac_wsi.train.begin import begin_run
from sac_wsi.train.cards import card_at, card_of
from sac_wsi.train.config import ScheduleSettings, TrainConfig
from sac_wsi.train.images import Images
from sac_wsi.train.judge import arithmetic, exam_loss, image_means, judge_model
from sac_wsi.train.loader import LessonPlan, lessons
from sac_wsi.train.log import Listener, Log
from sac_wsi.train.objective import Lesson, loss_of, on_device
from sac_wsi.train.ranks import Ranks, join
from sac_wsi.train.run_report import write_run_report
from sac_wsi.train.same_run import claim_folder
from sac_wsi.train.source import Source
from sac_wsi.train.state import State

STATE, BEST, LAST, LOG = "state.pt", "best.safetensors", "last.safetensors", "log.jsonl"
EXAM_LESSONS = 4
_EXAM_SEED = 1 << 20


@dataclass(frozen=True)
class Run:
    """What a call left. ``complete``: nothing is left for another call."""

    best: Path
    complete: bool
    step: int
    seconds: float


def train(config: TrainConfig, source: Source, *, listener: Listener | None = None, threads: int = 2) -> Run:
    """Learn, or go on learning what the folder holds."""
    with join() as ranks:
        return _train(config, source, ranks, listener or Listener(), threads)


def _train(config: TrainConfig, source: Source, ranks: Ranks, listener: Listener, threads: int) -> Run:
    out, schedule, begun = Path(config.output_dir), config.schedule, time.monotonic()
    make_folder(out)
    if ranks.first:
        claim_folder(config)
    if schedule.batch % ranks.count:
        raise ConfigError(
            f"schedule.batch is {schedule.batch} on {ranks.count} devices: needed a multiple of their number."
        )
    images = source.part("train")
    plan = _plan(config, images, ranks, listener)
    epoch_steps = schedule.epoch_steps or _steps_in_epoch(config, plan)
    steps, every = schedule.epochs * epoch_steps, schedule.validate_every * epoch_steps
    state = begin_run(config, ranks.device)
    if (out / STATE).exists():
        state.load(out / STATE, source.identity)
    examiner = _Examiner(config, source, listener) if ranks.first else None
    log = Log(out / LOG if ranks.first else None, listener.on_event)
    numbers = (state.step * schedule.accumulate, steps * schedule.accumulate)
    passes = iter(lessons(plan, *numbers, threads))
    out_of_time = False
    while state.step < steps and not _patience_is_over(state, schedule) and not out_of_time:
        learning_rate = rate(state.step, steps, schedule)
        log.add(
            _step(state, [next(passes) for _ in range(schedule.accumulate)], config, ranks, learning_rate)
        )
        listener.on_step(state.step, steps)
        out_of_time = ranks.any(bool(schedule.minutes) and time.monotonic() - begun > 60 * schedule.minutes)
        judged = state.step % every == 0 or state.step == steps
        if judged:
            log.write_means("train", state.step)
            if examiner is not None:
                examiner.judge(state, ranks.device, log)
            _agree(state, ranks)
        if ranks.first and (judged or out_of_time):
            state.save(out / STATE, source.identity)
    complete = state.step >= steps or _patience_is_over(state, schedule)
    if examiner is not None:
        save_checkpoint(out / LAST, averaged(state, config), card_at(examiner.card, state.step, {}))
    best = out / BEST if (out / BEST).exists() else out / LAST
    if examiner is not None and complete:
        write_run_report(config, source, best, out / LOG)
    return Run(best, complete, state.step, time.monotonic() - begun)


def _plan(
    config: TrainConfig, images: Images, ranks: Ranks, listener: Listener, *, exam: bool = False
) -> LessonPlan:
    return LessonPlan(
        images=images,
        batch=config.schedule.batch,
        crop_px=config.crop_px,
        maps=config.size.prompter.maps,
        experts=config.objective.experts if config.objective.part != "prompter" else 0,
        nuclei=config.objective.nuclei if config.objective.part != "prompter" else 0,
        seed=config.objective.seed + (_EXAM_SEED if exam else 0),
        augment=NONE if exam else config.augment,
        share=(0, 1) if exam else (ranks.rank, ranks.count),
        on_bad=_Skipper(listener) if config.data.skip_bad else None,
    )


class _Skipper:
    """Tells of each bad image once."""

    def __init__(self, listener: Listener) -> None:
        self._listener, self._told = listener, set[str]()

    def __call__(self, error: DataError) -> None:
        if str(error) not in self._told:
            self._told.add(str(error))
            self._listener.on_bad(str(error))


def _steps_in_epoch(config: TrainConfig, plan: LessonPlan) -> int:
    """As many as show as many pixels as there are."""
    pixels = sum(plan.pixels(index) for index in range(len(plan.images)))
    shown = config.schedule.batch * config.schedule.accumulate * config.crop_px**2
    return max(1, math.ceil(pixels / shown))


def _step(
    state: State, passes: Iterable[Lesson], config: TrainConfig, ranks: Ranks, learning_rate: float
) -> dict[str, float]:
    """One change of the weights."""
    schedule, model = config.schedule, state.model
    model.train()
    if config.objective.part == "sac" and model.prompter is not None:
        model.prompter.eval()  # it stays as it is, and so do the statistics of its batch norm
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate
    state.optimiser.zero_grad(set_to_none=True)
    told: dict[str, float] = {}
    for lesson in passes:
        with arithmetic(config, ranks.device):
            terms = loss_of(model, on_device(lesson, ranks.device), config.objective, config.inference.points)
        total = torch.stack(list(terms.values())).sum() / schedule.accumulate
        if ranks.any(not bool(torch.isfinite(total))):
            raise _no_number(terms, state.step)
        total.backward()  # type: ignore[no-untyped-call]
        for name, value in terms.items():
            told[name] = told.get(name, 0.0) + float(value.detach()) / schedule.accumulate
    _share_gradients(model, ranks)
    torch.nn.utils.clip_grad_norm_(model.parameters(), schedule.clip_norm)
    state.optimiser.step()
    state.step += 1
    state.follow(schedule.ema)
    return told


def _share_gradients(model: SacModel, ranks: Ranks) -> None:
    """The mean over all devices, of the statistics of batch norm as well."""
    if ranks.count == 1:
        return
    chosen = [p for p in model.parameters() if p.requires_grad]
    for parameter in chosen:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    ranks.average(p.grad for p in chosen if p.grad is not None)
    ranks.average(value for value in model.buffers() if value.is_floating_point())


def rate(step: int, steps: int, schedule: ScheduleSettings) -> float:
    """Up in a line, down as half a cosine."""
    if step < schedule.warmup_steps:
        return schedule.learning_rate * (step + 1) / schedule.warmup_steps
    done = (step - schedule.warmup_steps) / max(1, steps - schedule.warmup_steps)
    return schedule.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class _Examiner:
    """Judges the weights now and then, and keeps the best."""

    def __init__(self, config: TrainConfig, source: Source, listener: Listener) -> None:
        alone = Ranks(0, 1, "cpu")
        self._config, self._images = config, source.part("val")
        plan = _plan(config, self._images, alone, listener, exam=True)
        self._on_bad = plan.on_bad
        self._exam = [plan.lesson(i) for i in range(EXAM_LESSONS)]
        self.card = card_of(config, source)

    def judge(self, state: State, device: str, log: Log) -> None:
        config = self._config
        model = averaged(state, config).to(device)
        values = exam_loss(model, self._exam, config, device)
        by = config.schedule.best_by
        if by != "loss":
            values |= image_means(judge_model(model, config, self._images, device, self._on_bad))
        log.write("validation", state.step, values)
        score = -values["loss"] if by == "loss" else values[by]
        state.waited += 1
        if score > state.best:
            state.best, state.waited = score, 0
            save_checkpoint(Path(config.output_dir) / BEST, model, card_at(self.card, state.step, values))


def averaged(state: State, config: TrainConfig) -> SacModel:
    """The model that is kept: the averaged weights, or those of now."""
    model = build_model(config.size)
    model.load_state_dict(state.average if config.schedule.ema else state.model.state_dict())
    return model.eval()


def _agree(state: State, ranks: Ranks) -> None:
    """All wait as long as the first one has."""
    if ranks.count > 1:
        waited = torch.tensor(float(state.waited if ranks.first else 0), device=ranks.device)
        ranks.average([waited])
        state.waited = round(float(waited) * ranks.count)


def _patience_is_over(state: State, schedule: ScheduleSettings) -> bool:
    return bool(schedule.patience) and state.waited >= schedule.patience


def _no_number(terms: dict[str, Tensor], step: int) -> SacWsiError:
    told = ", ".join(f"{name} {float(value.detach()):g}" for name, value in terms.items())
    return SacWsiError(
        f"The loss is no number any more at step {step} ({told}). The last saved state is kept. Try a "
        "smaller schedule.learning_rate or schedule.clip_norm in another output_dir."
    )
