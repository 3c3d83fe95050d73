"""Log a run: a line of JSON for each mean and each validation; report each step to a progress bar."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Event:
    """One line of the log.

    Attributes:
        kind: "train" or "validation".
        step: Number of steps done.
        seconds: Duration of the run so far; a resumed run continues from the last line of the call before.
        values: Means since the last line, or the results of a validation.
    """

    kind: str
    step: int
    seconds: float
    values: dict[str, float]


def events_in(lines: Iterable[str]) -> Iterator[Event]:
    """Yield the events of a log; skip incomplete lines, which a killed run can leave."""
    for line in lines:
        try:
            yield Event(**json.loads(line))
        except (ValueError, TypeError):
            continue


def seconds_logged(events: Iterable[Event]) -> float:
    """Return the duration of a run, all its calls together."""
    return max((event.seconds for event in events), default=0.0)


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Listener:
    """Functions that a run calls to report its progress.

    Attributes:
        on_event: Gets each event of the log.
        on_step: Gets the number of steps done and the number of all steps.
        on_bad: Gets the message for each image that cannot be read.
    """

    on_event: Callable[[Event], None] = _nothing
    on_step: Callable[[int, int], None] = _nothing
    on_bad: Callable[[str], None] = _nothing


class Log:
    """Collect values and write their means as lines to the file and to ``on_event``."""

    def __init__(self, path: Path | None, on_event: Callable[[Event], None]) -> None:
        self._path, self._on_event = path, on_event
        self._values: dict[str, list[float]] = {}
        self._started = time.monotonic() - _seconds_before(path)

    def add(self, values: Mapping[str, float]) -> None:
        """Collect the values of one step."""
        for name, value in values.items():
            self._values.setdefault(name, []).append(value)

    def write_means(self, kind: str, step: int) -> None:
        """Write the means of the values collected since the last call."""
        self.write(kind, step, {name: fmean(values) for name, values in self._values.items()})
        self._values = {}

    def write(self, kind: str, step: int, values: dict[str, float]) -> None:
        """Write one line."""
        event = Event(kind, step, round(time.monotonic() - self._started, 1), values)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(event)) + "\n")
            self._on_event(event)


def _seconds_before(path: Path | None) -> float:
    if path is None or not path.exists():
        return 0.0
    with path.open(encoding="utf-8") as file:
        return seconds_logged(events_in(file))
