"""From numbers to places along an axis, and the round numbers to write there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_TICKS = 8
_LOG_FROM_RATIO = 20
"""Terms that differ more than this cannot be read on one linear axis."""


@dataclass(frozen=True)
class Axis:
    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def part(self, value: float) -> float:
        """0 at ``low``, 1 at ``high``."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def step_axis(steps: Sequence[int]) -> Axis:
    low, high = min(steps), max(max(steps), min(steps) + 1)
    return Axis(low, high, tuple(tick for tick in round_numbers(low, high) if tick == int(tick)))


def score_axis(values: Sequence[float]) -> Axis:
    return Axis(0, 1, round_numbers(0, 1))


def loss_axis(values: Sequence[float]) -> Axis:
    """From zero, or logarithmic where that would press some values flat."""
    low, high = min(values), max(values)
    if low > 0 and high / low > _LOG_FROM_RATIO:
        return Axis(low, high, _round_powers(low, high), log=True)
    low, high = min(0.0, low), max(0.0, high) or low + 1
    return Axis(low, high, round_numbers(low, high))


def round_numbers(low: float, high: float) -> tuple[float, ...]:
    """The multiples of 1, 2 or 5 times a power of ten in a range.

    >>> round_numbers(0, 1)
    (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """
    power = 10.0 ** math.floor(math.log10((high - low) / _MOST_TICKS))
    step = next(s * power for s in (1, 2, 5, 10) if (high - low) / (s * power) <= _MOST_TICKS)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(float(f"{i * step:.9g}") for i in range(first, last + 1))


def _round_powers(low: float, high: float) -> tuple[float, ...]:
    """1, 2, 5, 10, 20, …, of a range; fewer where they would stand too close."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [m * 10.0**e for e in decades for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    coarse = [10.0**e for e in decades if low <= 10.0**e <= high]
    if len(fine) <= _MOST_TICKS:
        return tuple(fine)
    return tuple(coarse[:: -(-len(coarse) // _MOST_TICKS)])
