"""Progress of a download on stderr: a bar on a terminal, JSON lines otherwise."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sac_wsi.weights.http_fetch import OnBytes

_SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def byte_reporter(stage: str) -> Iterator[OnBytes]:
    """What to hand to ``fetch(on_progress=...)``."""
    if sys.stderr.isatty():
        with _bar(stage) as show:
            yield show
    else:
        yield _lines(stage)


@contextmanager
def _bar(stage: str) -> Iterator[OnBytes]:
    from tqdm import tqdm

    bar: tqdm[Any] | None = None

    def show(done: int, total: int | None) -> None:
        nonlocal bar
        if bar is None:  # only now is known where an earlier call stopped
            bar = tqdm(desc=stage, total=total, initial=done, unit="B", unit_scale=True)
        bar.update(done - bar.n)

    try:
        yield show
    finally:
        if bar is not None:
            bar.close()


def _lines(stage: str) -> OnBytes:
    begin = time.monotonic()
    last_at = -_SECONDS_BETWEEN_LINES

    def show(done: int, total: int | None) -> None:
        nonlocal last_at
        now = time.monotonic() - begin
        if done != total and now - last_at < _SECONDS_BETWEEN_LINES:
            return
        last_at = now
        line = {"stage": stage, "done": done, "total": total, "unit": "byte", "seconds": round(now, 1)}
        print(json.dumps(line), file=sys.stderr, flush=True)

    return show
