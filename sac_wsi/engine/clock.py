"""Measure the seconds that each stage of the work takes."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass
class Clock:
    """Seconds per stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, seconds: Mapping[str, float], share: float) -> None:
        """Add the seconds of another clock, multiplied by ``share``.

        With N workers side by side, a worker's second is 1/N of a second of the run.
        """
        for stage, value in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + share * value

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the seconds that the ``with`` body takes to ``stage``."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - begin
