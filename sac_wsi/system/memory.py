"""Freed memory is used again within a stage of the work and given back at its end.

Arrays of the same sizes come and go all through a stage. Left alone, glibc returns the large ones to the
kernel each time, and having them back, page by page, cost more than writing the labels themselves; kept
for ever, what one stage needed is added to the next one's peak.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from functools import cache
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_KEPT_BYTES = 512 << 20
_LARGEST_KEPT_BYTES = 32 << 20


@cache
def _glibc() -> Any:
    """The C library, told to keep what is freed; None where it is another one."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    if not (hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim")):
        return None
    libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
    libc.mallopt(_M_ARENA_MAX, 1)  # else each thread keeps a heap of its own
    return libc


_GIVE_BACK_EVERY = 16
_stage, _tasks = "", 0


def begin_task(stage: str) -> None:
    """In this process a task of a stage begins. What an earlier stage kept is given back, and now and then
    what this one did: pieces of it are never used again, and add up over a large slide."""
    global _stage, _tasks
    _stage, _tasks = stage, _tasks + 1 if stage == _stage else 0
    libc = _glibc()
    if libc and _tasks % _GIVE_BACK_EVERY == 0:
        gc.collect()
        libc.malloc_trim(0)
