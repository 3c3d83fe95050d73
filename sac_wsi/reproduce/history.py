"""Read the log of a training: its duration and its validation Dice by epoch."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sac_wsi.train.log import Event, events_in, seconds_logged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class TrainingHistory:
    """Duration and validation Dice of a training.

    seconds_per_epoch  median time of training alone, without validation
    minutes            total time of all calls, with validation
    curve              (epoch, mean Dice of the validation images)
    """

    seconds_per_epoch: float | None
    minutes: float
    curve: Curve


def read_history(log: Path, epochs_between: int) -> TrainingHistory:
    """Read the history from a log file; ``epochs_between`` is the number of epochs between validations."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return history(lines, epochs_between)


def history(lines: Sequence[str], epochs_between: int) -> TrainingHistory:
    """Compute the history from the lines of a log.

    >>> events = [("train", 5, 8.0, 0), ("validation", 5, 9.0, 0.5), ("train", 10, 18.0, 0)]
    >>> events += [("train", 10, 25.0, 0), ("validation", 10, 26.5, 0.6)]  # killed, and the next call
    >>> line = '{"kind": "%s", "step": %d, "seconds": %f, "values": {"dice": %f}}'
    >>> history([line % each for each in events], 1)
    TrainingHistory(seconds_per_epoch=8.0, minutes=0.441..., curve=((1.0, 0.5), (2.0, 0.6)))
    """
    events = list(events_in(lines))
    validations = {event.step: event for event in events if event.kind == "validation"}
    epoch_steps = min(validations, default=0) / epochs_between
    curve = tuple(
        (step / epoch_steps, event.values["dice"])
        for step, event in sorted(validations.items())
        if "dice" in event.values
    )
    taken = list(_training_seconds(events, set(validations)))
    return TrainingHistory(
        seconds_per_epoch=statistics.median(taken) / epochs_between if taken else None,
        minutes=seconds_logged(events) / 60,
        curve=curve,
    )


def _training_seconds(events: Sequence[Event], validated: set[int]) -> Iterator[float]:
    """Yield the training time between two validations; a call may have stopped in between."""
    taken = last = 0.0
    for event in events:
        if event.kind == "train":
            taken += event.seconds - last
            if event.step in validated:
                yield taken
                taken = 0.0
        last = event.seconds
