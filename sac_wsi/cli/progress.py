"""Progress on stderr: a bar on a terminal, JSON lines otherwise."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sac_wsi.engine.segment import Progress

_SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def reporter() -> Iterator[Callable[[Progress], None]]:
    """What to hand to ``segment_slide(on_progress=...)``."""
    if sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _lines()


@contextmanager
def _bars() -> Iterator[Callable[[Progress], None]]:
    from tqdm import tqdm

    bars: dict[str, tqdm[Any]] = {}

    def show(progress: Progress) -> None:
        bar = bars.get(progress.stage)
        if bar is None:
            for other in bars.values():
                other.close()
            unit = "tile" if progress.stage == "segment" else "part"
            bar = tqdm(desc=progress.stage, total=progress.total, initial=progress.done, unit=unit)
            bars[progress.stage] = bar
        bar.update(progress.done - bar.n)
        if progress.nuclei:
            bar.set_postfix_str(f"{progress.nuclei:,} nuclei")

    try:
        yield show
    finally:
        for bar in bars.values():
            bar.close()


def _lines() -> Callable[[Progress], None]:
    begin = time.monotonic()
    last_stage, last_at = "", -_SECONDS_BETWEEN_LINES

    def show(progress: Progress) -> None:
        nonlocal last_stage, last_at
        now = time.monotonic() - begin
        ended = progress.done >= progress.total
        if not ended and progress.stage == last_stage and now - last_at < _SECONDS_BETWEEN_LINES:
            return
        last_stage, last_at = progress.stage, now
        line = {
            "stage": progress.stage,
            "done": progress.done,
            "total": progress.total,
            "nuclei": progress.nuclei,
            "seconds": round(now, 1),
        }
        print(json.dumps(line), file=sys.stderr, flush=True)

    return show
