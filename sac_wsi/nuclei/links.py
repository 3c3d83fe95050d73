"""Disjoint sets for numba kernels: each member is linked to another of its set, the first to itself.

A file of its own because two folders need it: ``classical`` and ``model``.
"""

from __future__ import annotations

from typing import Any

from numba import njit


@njit(cache=True, nogil=True)
def root(linked: Any, i: Any) -> Any:
    """Return the member that represents the set of ``i``, and shorten the path to it."""
    while linked[i] != i:
        linked[i] = linked[linked[i]]
        i = linked[i]
    return i
