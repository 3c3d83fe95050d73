"""Random numbers as pure functions of a seed, a place and a counter.

So any region of a synthetic slide can be computed alone, in any order, on any machine, with the same result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
_TO_MANTISSA = np.uint64(11)


@njit(cache=True, nogil=True)
def mix(bits: Any) -> Any:
    """Return the finalizer of splitmix64: similar inputs give unrelated outputs."""
    bits = (bits ^ (bits >> _SHIFTS[0])) * _MIX_1
    bits = (bits ^ (bits >> _SHIFTS[1])) * _MIX_2
    return bits ^ (bits >> _SHIFTS[2])


@njit(cache=True, nogil=True)
def place_key(seed: Any, row: int, column: int) -> Any:
    """Return a 64-bit key of a place; ``row`` and ``column`` may be negative."""
    return mix(mix(np.uint64(seed) + np.uint64(row) * _GOLDEN) + np.uint64(column) * _MIX_2)


@njit(cache=True, nogil=True)
def draw(key: Any, counter: int) -> float:
    """Return the ``counter``-th uniform random number in [0, 1) of a key."""
    return np.float64(mix(np.uint64(key) + np.uint64(counter) * _GOLDEN) >> _TO_MANTISSA) * 2.0**-53


@njit(cache=True, nogil=True)
def draw_bell(key: Any, counter: int) -> float:
    """Return an approximately standard normal number, within ±3.46, from four uniform ones.

    Only sums and products are used: IEEE 754 defines them to the last bit, unlike ``log`` and ``cos``.
    """
    total = draw(key, counter) + draw(key, counter + 1) + draw(key, counter + 2) + draw(key, counter + 3)
    return float((total - 2.0) * 1.7320508075688772)
