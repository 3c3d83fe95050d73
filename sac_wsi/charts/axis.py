"""The scale of an axis and its ticks at round numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_TICKS = 8
_LOG_FROM_RATIO = 20
"""Curves whose values differ by more than this factor cannot be read on one linear axis."""
_MARGIN = 0.07


@dataclass(frozen=True)
class Axis:
    """The values from ``low`` to ``high``, linear or logarithmic."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def part(self, value: float) -> float:
        """Return the position of a value: 0 at ``low``, 1 at ``high``."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def padded_axis(values: Sequence[float]) -> Axis:
    """Return a linear axis with a margin on both sides of the values, and about four ticks."""
    low, high = min(values), max(values)
    margin = _MARGIN * (high - low) or 0.5
    low, high = low - margin, high + margin
    return Axis(low, high, round_ticks(low, high, 5))


def step_axis(steps: Sequence[float]) -> Axis:
    """Return an axis for training steps or epochs: its ticks are whole numbers."""
    low, high = min(steps), max(max(steps), min(steps) + 1)
    return Axis(low, high, tuple(tick for tick in round_ticks(low, high) if tick == int(tick)))


def score_axis(values: Sequence[float]) -> Axis:
    """Return the axis of scores, from 0 to 1."""
    return Axis(0, 1, round_ticks(0, 1))


def loss_axis(values: Sequence[float]) -> Axis:
    """Return an axis from zero, or a logarithmic one if the values differ by a large factor."""
    low, high = min(values), max(values)
    if low > 0 and high / low > _LOG_FROM_RATIO:
        return Axis(low, high, _log_ticks(low, high), log=True)
    low, high = min(0.0, low), max(0.0, high) or low + 1
    return Axis(low, high, round_ticks(low, high))


def round_ticks(low: float, high: float, most: int = _MOST_TICKS) -> tuple[float, ...]:
    """Return the multiples of a step in a range. The step is 1, 2 or 5 times a power of ten.

    The range has at most ``most`` steps.

    >>> round_ticks(0, 1)
    (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(s * power for s in (1, 2, 5, 10) if (high - low) / (s * power) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(float(f"{i * step:.9g}") for i in range(first, last + 1))


def format_tick(value: float) -> str:
    """Return the text of a tick; millions are written with M.

    >>> format_tick(85.0), format_tick(0.25), format_tick(8000), format_tick(640000000.0), format_tick(-0.0)
    ('85', '0.25', '8,000', '640 M', '0')
    """
    return f"{value / 1e6:,.6g} M" if abs(value) >= 1e6 else f"{value + 0.0:,.6g}"


def _log_ticks(low: float, high: float) -> tuple[float, ...]:
    """Return 1, 2, 5, 10, 20, … of a range, or fewer where they would be too close."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [m * 10.0**e for e in decades for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    coarse = [10.0**e for e in decades if low <= 10.0**e <= high]
    if len(fine) <= _MOST_TICKS:
        return tuple(fine)
    return tuple(coarse[:: -(-len(coarse) // _MOST_TICKS)])
