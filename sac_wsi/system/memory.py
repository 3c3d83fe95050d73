"""Reuse freed memory within a stage of the work, and return it to the system at the end of the stage.

Arrays of the same sizes are allocated and freed all through a stage. By default glibc returns large ones to
the kernel each time, and getting them back page by page cost more time than writing the labels. If they were
kept for ever, the memory of one stage would be added to the peak of the next one.
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
_TASKS_BETWEEN_TRIMS = 16
_stage, _tasks = "", 0


def address_space_limit() -> int | None:
    """Return the bytes of memory that this process may map (``ulimit -v``); None without a limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


@cache
def _glibc() -> Any:
    """Return the C library, configured to keep freed memory; None on systems without glibc."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    if not (hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim")):
        return None
    libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
    libc.mallopt(_M_ARENA_MAX, 1)  # by default each thread keeps a heap of its own
    return libc


def begin_task(stage: str) -> None:
    """Note that a task of ``stage`` begins in this process; call it before each task.

    Memory kept from an earlier stage is returned to the system. So is, every few tasks, that of the current
    stage: some of its pieces are never used again, and on a large slide they add up.
    """
    global _stage, _tasks
    _stage, _tasks = stage, _tasks + 1 if stage == _stage else 0
    libc = _glibc()
    if libc and _tasks % _TASKS_BETWEEN_TRIMS == 0:
        gc.collect()
        libc.malloc_trim(0)
