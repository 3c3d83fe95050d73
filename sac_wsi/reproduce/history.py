"""What the log of a training tells: how long it took, and how good it was by epoch."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sac_wsi.train.log import Event, events_in, seconds_told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class History:
    """seconds_per_epoch  of learning alone, without validation: the median
    minutes            all calls together, validation included
    curve              (epoch, mean Dice on the validation images)
    """

    seconds_per_epoch: float | None
    minutes: float
    curve: Curve


def read_history(log: Path, epochs_between: int) -> History:
    """``epochs_between`` validations."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return history(lines, epochs_between)


def history(lines: Sequence[str], epochs_between: int) -> History:
    """
    >>> told = [("train", 5, 8.0, 0), ("validation", 5, 9.0, 0.5), ("train", 10, 18.0, 0)]
    >>> told += [("train", 10, 25.0, 0), ("validation", 10, 26.5, 0.6)]  # killed, and the next call
    >>> line = '{"kind": "%s", "step": %d, "seconds": %f, "values": {"dice": %f}}'
    >>> history([line % each for each in told], 1)
    History(seconds_per_epoch=8.0, minutes=0.441..., curve=((1.0, 0.5), (2.0, 0.6)))
    """
    events = list(events_in(lines))
    validations = {event.step: event for event in events if event.kind == "validation"}
    epoch_steps = min(validations, default=0) / epochs_between
    curve = tuple(
        (step / epoch_steps, event.values["dice"])
        for step, event in sorted(validations.items())
        if "dice" in event.values
    )
    taken = list(_seconds_learnt(events, set(validations)))
    return History(
        seconds_per_epoch=statistics.median(taken) / epochs_between if taken else None,
        minutes=seconds_told(events) / 60,
        curve=curve,
    )


def _seconds_learnt(events: Sequence[Event], judged: set[int]) -> Iterator[float]:
    """From the end of a validation to the begin of the next; a call may have stopped in between."""
    taken = last = 0.0
    for event in events:
        if event.kind == "train":
            taken += event.seconds - last
            if event.step in judged:
                yield taken
                taken = 0.0
        last = event.seconds
