"""Freed memory goes back to the system, so that the peak is what is in use."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LARGE_BYTES = 1 << 20


@cache
def give_back_freed_memory() -> None:
    """Tell glibc to map every large array by itself, for this process.

    Left alone it raises that limit to 32 MB as arrays are freed, keeps them in its heaps, one a thread, and
    a run of many nuclei peaks a third higher than it needs. Dask sees to the same in its workers.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        libc.mallopt(_M_ARENA_MAX, 2)
