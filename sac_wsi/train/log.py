"""What a run tells: a line of JSON for each mean and each validation, and each step to a progress bar."""

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
    """One line of the log. ``values`` are means since the last one, or what was measured.

    ``seconds`` counts on from call to call, up to the last line of each.
    """

    kind: str
    step: int
    seconds: float
    values: dict[str, float]


def events_in(lines: Iterable[str]) -> Iterator[Event]:
    """Of a log, but for lines cut short: the last after a kill, or one that the next call wrote on."""
    for line in lines:
        try:
            yield Event(**json.loads(line))
        except (ValueError, TypeError):
            continue


def seconds_logged(events: Iterable[Event]) -> float:
    """Of all calls together."""
    return max((event.seconds for event in events), default=0.0)


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Listener:
    """Whoever wants to know. ``on_step`` gets steps done and steps in all."""

    on_event: Callable[[Event], None] = _nothing
    on_step: Callable[[int, int], None] = _nothing
    on_bad: Callable[[str], None] = _nothing


class Log:
    """Means between two lines; each line goes to the file and to whoever listens."""

    def __init__(self, path: Path | None, on_event: Callable[[Event], None]) -> None:
        self._path, self._on_event = path, on_event
        self._values: dict[str, list[float]] = {}
        self._begun = time.monotonic() - _seconds_before(path)

    def add(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._values.setdefault(name, []).append(value)

    def write_means(self, kind: str, step: int) -> None:
        self.write(kind, step, {name: fmean(values) for name, values in self._values.items()})
        self._values = {}

    def write(self, kind: str, step: int, values: dict[str, float]) -> None:
        event = Event(kind, step, round(time.monotonic() - self._begun, 1), values)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(event)) + "\n")
            self._on_event(event)


def _seconds_before(path: Path | None) -> float:
    if path is None or not path.exists():
        return 0.0
    with path.open(encoding="utf-8") as file:
        return seconds_logged(events_in(file))
