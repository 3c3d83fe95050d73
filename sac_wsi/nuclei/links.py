"""Sets that join, for numba kernels: of each member another one of its set, of the set's first itself."""

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
