"""Percentile bootstrap: how much a mean over images varies with the choice of images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DRAWS = 2000
_ROWS_AT_ONCE = 1 << 17


@dataclass(frozen=True)
class Interval:
    """The middle 95 % of the resampled values."""

    low: float
    high: float

    def to_json(self) -> list[float]:
        """Return [low, high]."""
        return [self.low, self.high]


def resampled_means(rows: Floats, seed: int = 0, draws: int = DRAWS) -> Floats:
    """Return the column means of ``draws`` random samples of the images.

    Each sample has as many images as ``rows``, drawn with replacement. All columns use the same images, so
    that the ratio of two columns belongs to one sample.

    Args:
        rows: (images, columns) values.
        seed: Seed of the random choice.
        draws: Number of samples.

    Returns:
        (draws, columns) means.
    """
    count = len(rows)
    rng = np.random.default_rng(seed)
    means = np.empty((draws, rows.shape[1]))
    step = max(1, _ROWS_AT_ONCE // count)
    for start in range(0, draws, step):
        part = means[start : start + step]
        part[:] = rows[rng.integers(0, count, (len(part), count))].mean(axis=1)
    return means


def interval(resampled: Floats) -> Interval:
    """Return the interval from the 2.5th to the 97.5th percentile.

    >>> interval(np.arange(1001.0))
    Interval(low=25.0, high=975.0)
    """
    low, high = np.percentile(resampled, (2.5, 97.5))
    return Interval(float(low), float(high))
