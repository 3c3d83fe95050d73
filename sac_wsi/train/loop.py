"""The training loop, whole. It can be killed at any moment and goes on from the last saved state."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor

from sac_wsi.download import sha256_of
from sac_wsi.errors import SacWsiError
from sac_wsi.model.card import Card, Training
from sac_wsi.model.checkpoint import save_checkpoint
from sac_wsi.model.sac import SacModel, build_model, learns, load_sam
from sac_wsi.model.sam import read_sam_file
from sac_wsi.train.augment import NONE
from sac_wsi.train.config import ScheduleSettings, TrainConfig
from sac_wsi.train.images import Images
from sac_wsi.train.loader import LessonPlan, lessons
from sac_wsi.train.objective import Lesson, loss_of
from sac_wsi.train.state import State, begin

STATE, BEST, LAST, LOG = "state.pt", "best.safetensors", "last.safetensors", "log.jsonl"
VALIDATION_LESSONS = 8


@dataclass(frozen=True)
class Event:
    """One line of the log. ``losses`` are means since the last one."""

    kind: str
    step: int
    seconds: float
    losses: dict[str, float]


def train(
    config: TrainConfig,
    images: Images,
    validation: Images,
    *,
    digest: str,
    on_event: Callable[[Event], None] = lambda _: None,
    threads: int = 2,
) -> Path:
    """Learn, or go on learning; returns the best checkpoint. ``digest`` names the config and the data."""
    out = Path(config.output_dir)
    out.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    state = _begin(config, device)
    if (out / STATE).exists():
        state.load(out / STATE, digest)
    card, plan = _card(config), _plan(config, images)
    exam = [_plan(config, validation, exam=True).lesson(i) for i in range(VALIDATION_LESSONS)]
    schedule, begun = config.schedule, time.monotonic()
    log = _Log(out / LOG, on_event)
    numbers = (state.step * schedule.accumulate, schedule.steps * schedule.accumulate)
    passes = iter(lessons(plan, *numbers, threads))
    while state.step < schedule.steps and not _patience_is_over(state, schedule):
        log.add(_step(state, [next(passes) for _ in range(schedule.accumulate)], config, device))
        out_of_time = bool(schedule.minutes) and time.monotonic() - begun > 60 * schedule.minutes
        last = state.step == schedule.steps
        if state.step % schedule.validate_every == 0 or last:
            log.write("train", state.step)
            _validate(state, exam, config, device, card, log)
        if state.step % schedule.validate_every == 0 or last or out_of_time:
            state.save(out / STATE, digest)
        if out_of_time:
            break
    save_checkpoint(out / LAST, _averaged(state, config), _at(card, state, {}))
    return out / BEST if (out / BEST).exists() else out / LAST


def _begin(config: TrainConfig, device: str) -> State:
    torch.manual_seed(config.objective.seed)
    model = build_model(config.size)
    if config.base:
        load_sam(model, read_sam_file(Path(config.base)), config.base)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(_is_learnt(config, name))
    model = model.to(device)
    chosen = [p for p in model.parameters() if p.requires_grad]
    schedule = config.schedule
    optimiser = torch.optim.AdamW(chosen, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    return begin(model, optimiser)


def _is_learnt(config: TrainConfig, name: str) -> bool:
    """What the family learns over SAM's weights; from nothing, everything that the part covers."""
    is_prompter, part = name.startswith("prompter."), config.objective.part
    if part != "both" and is_prompter != (part == "prompter"):
        return False
    return not config.base or learns(config.size.family, name)


def _plan(config: TrainConfig, images: Images, *, exam: bool = False) -> LessonPlan:
    return LessonPlan(
        images=images,
        batch=config.schedule.batch,
        tile_px=config.size.tile_px,
        maps=config.size.prompter.maps,
        points=config.objective.points,
        seed=config.objective.seed + (1 << 20 if exam else 0),
        augment=NONE if exam else config.augment,
    )


def _step(state: State, passes: Iterable[Lesson], config: TrainConfig, device: str) -> dict[str, float]:
    """One change of the weights."""
    schedule = config.schedule
    state.model.train()
    for group in state.optimiser.param_groups:
        group["lr"] = rate(state.step, schedule)
    state.optimiser.zero_grad(set_to_none=True)
    told: dict[str, float] = {}
    for lesson in passes:
        with _arithmetic(schedule, device):
            terms = loss_of(state.model, on_device(lesson, device), config.objective)
        total = torch.stack(list(terms.values())).sum() / schedule.accumulate
        _refuse_nan(total, terms, state.step)
        total.backward()  # type: ignore[no-untyped-call]
        for name, value in terms.items():
            told[name] = told.get(name, 0.0) + float(value.detach()) / schedule.accumulate
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), schedule.clip_norm)
    state.optimiser.step()
    state.step += 1
    state.follow(schedule.ema)
    return told


def rate(step: int, schedule: ScheduleSettings) -> float:
    """Up in a line, down as half a cosine."""
    if step < schedule.warmup_steps:
        return schedule.learning_rate * (step + 1) / schedule.warmup_steps
    done = (step - schedule.warmup_steps) / max(1, schedule.steps - schedule.warmup_steps)
    return schedule.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _validate(
    state: State, exam: list[Lesson], config: TrainConfig, device: str, card: Card, log: _Log
) -> None:
    model = _averaged(state, config).to(device)
    with torch.inference_mode(), _arithmetic(config.schedule, device):
        for lesson in exam:
            terms = loss_of(model, on_device(lesson, device), config.objective)
            log.add({name: float(value) for name, value in terms.items()})
    losses = log.write("validation", state.step)
    total = sum(losses.values())
    state.waited += 1
    if total < state.best:
        state.best, state.waited = total, 0
        save_checkpoint(Path(config.output_dir) / BEST, model, _at(card, state, losses))


def _averaged(state: State, config: TrainConfig) -> SacModel:
    """The model that is kept: the averaged weights, or those of now."""
    model = build_model(config.size)
    model.load_state_dict(state.average if config.schedule.ema else state.model.state_dict())
    return model.eval()


def _card(config: TrainConfig) -> Card:
    """What does not change during a run: SAM's file, for one, is hashed once."""
    from sac_wsi import __version__

    card = Card(
        name=config.name,
        size=config.size,
        mpp=config.mpp,
        mpp_range=config.mpp_range,
        halo_um=config.halo_um,
        inference=config.inference,
        training=Training(
            data=(config.data.path or config.data.kind,),
            licence=config.licence,
            non_commercial=config.non_commercial,
            code_version=__version__,
        ),
    )
    if not config.base:
        return card
    base = Path(config.base)
    return replace(card, kind="trained", base=base.name, base_sha256=sha256_of(base))


def _at(card: Card, state: State, losses: dict[str, float]) -> Card:
    """The card of the weights as they are now."""
    metrics = {f"validation_loss_{name}": value for name, value in losses.items()}
    return replace(card, training=replace(card.training, steps=state.step), metrics=metrics)


def _patience_is_over(state: State, schedule: ScheduleSettings) -> bool:
    return bool(schedule.patience) and state.waited >= schedule.patience


def _arithmetic(schedule: ScheduleSettings, device: str) -> AbstractContextManager[object]:
    return torch.autocast(device, torch.bfloat16) if schedule.precision == "bf16" else nullcontext()


def on_device(lesson: Lesson, device: str) -> Lesson:
    moved = {f.name: getattr(lesson, f.name).to(device, non_blocking=True) for f in fields(lesson)}
    return Lesson(**moved)


def _refuse_nan(total: Tensor, terms: dict[str, Tensor], step: int) -> None:
    if not torch.isfinite(total):
        told = ", ".join(f"{name} {float(value.detach()):g}" for name, value in terms.items())
        raise SacWsiError(
            f"The loss is no number any more at step {step} ({told}). The last saved state is kept. Try a "
            "smaller schedule.learning_rate or schedule.clip_norm in another output_dir."
        )


class _Log:
    """Means between two lines; each line goes to the file as JSON and to whoever listens."""

    def __init__(self, path: Path, on_event: Callable[[Event], None]) -> None:
        self._path, self._on_event = path, on_event
        self._sums: dict[str, float] = {}
        self._count = 0
        self._begun = time.monotonic()

    def add(self, losses: dict[str, float]) -> None:
        self._count += 1
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def write(self, kind: str, step: int) -> dict[str, float]:
        means = {name: value / self._count for name, value in self._sums.items()}
        event = Event(kind, step, round(time.monotonic() - self._begun, 1), means)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(event)) + "\n")
        self._on_event(event)
        self._sums, self._count = {}, 0
        return means
