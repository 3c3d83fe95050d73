"""The line above every result (command, commit, hardware), and measuring time and memory."""

from __future__ import annotations

import json
import os
import platform
import resource
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def origin() -> str:
    """Return command, commit and hardware: the line above every table."""
    command = shlex.join(["python", *(os.path.relpath(a) if a == sys.argv[0] else a for a in sys.argv)])
    return f"`{command}`, commit {commit()}, {hardware()}, Python {platform.python_version()}."


def hardware() -> str:
    """Return the processor and the number of cores."""
    cpu = Path("/proc/cpuinfo")
    names = [
        line.split(":")[1].strip() for line in cpu.read_text().splitlines() if line.startswith("model name")
    ]
    return f"{names[0] if names else platform.machine()}, {len(os.sched_getaffinity(0))} cores"


def commit() -> str:
    """Return the commit of this repository."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=Path(__file__).parent
    )
    return done.stdout.strip() or "unknown"


def measured(work: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    """Return what ``work`` returns, and its wall seconds, core seconds and peak memory, own and child's."""
    begin, cpu = time.perf_counter(), _core_seconds()
    result = work() or {}
    return {
        **result,
        "wall_s": time.perf_counter() - begin,
        "core_s": _core_seconds() - cpu,
        "peak_mb": _peak_mb(resource.RUSAGE_SELF),
        "child_peak_mb": _peak_mb(resource.RUSAGE_CHILDREN),
    }


def in_child(script: str, *arguments: str) -> dict[str, Any]:
    """Run ``script`` in a new process and return the JSON that it prints in its last line."""
    done = subprocess.run([sys.executable, script, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _core_seconds() -> float:
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def _peak_mb(who: int) -> float:
    return resource.getrusage(who).ru_maxrss * 1024 / 1e6
