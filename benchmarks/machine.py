"""What every result says of its origin, and a measured child process."""

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
    """Command, commit, hardware: the line above every table."""
    command = shlex.join(["python", *(os.path.relpath(a) if a == sys.argv[0] else a for a in sys.argv)])
    return f"`{command}`, commit {commit()}, {hardware()}, Python {platform.python_version()}."


def hardware() -> str:
    cpu = Path("/proc/cpuinfo")
    names = [
        line.split(":")[1].strip() for line in cpu.read_text().splitlines() if line.startswith("model name")
    ]
    return f"{names[0] if names else platform.machine()}, {len(os.sched_getaffinity(0))} cores"


def commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=Path(__file__).parent
    )
    return done.stdout.strip() or "unknown"


def measured(work: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    """Wall seconds, core seconds and peak memory (its own and the largest child's) of work done here."""
    begin, cpu = time.perf_counter(), _core_seconds()
    told = work() or {}
    return {
        **told,
        "wall_s": time.perf_counter() - begin,
        "core_s": _core_seconds() - cpu,
        "peak_mb": _peak_mb(resource.RUSAGE_SELF),
        "child_peak_mb": _peak_mb(resource.RUSAGE_CHILDREN),
    }


def in_child(script: str, *arguments: str) -> dict[str, Any]:
    """The JSON line that ``script`` prints last, run in a process of its own."""
    done = subprocess.run([sys.executable, script, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _core_seconds() -> float:
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def _peak_mb(who: int) -> float:
    return resource.getrusage(who).ru_maxrss * 1024 / 1e6
