"""What the processor and the graphics card of this machine can do."""

from __future__ import annotations

import os
import sys
from ctypes.util import find_library
from pathlib import Path

_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}
_CPUINFO = Path("/proc/cpuinfo")


def usable_threads() -> int:
    """Return the number of threads to compute with: OMP_NUM_THREADS, or the processors of this process."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def computes_bf16() -> bool:
    """Return whether the CPU computes in bf16; others emulate it, which is slower than float32.

    Known on Linux only. The variable ONEDNN_MAX_CPU_ISA, which limits the instructions that the libraries
    use, is respected.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if limit and not any(name in limit for name in ("BF16", "AMX", "DEFAULT", "AVX10")):
        return False
    try:
        text = _CPUINFO.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return bool(_BF16_FLAGS & set(flags.split()))


def may_have_cuda() -> bool:
    """Return whether NVIDIA's driver is installed; without it, importing PyTorch to ask is not needed."""
    return find_library("nvcuda" if sys.platform == "win32" else "cuda") is not None
