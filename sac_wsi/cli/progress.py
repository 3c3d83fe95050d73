"""Progress on stderr: tqdm bars on a terminal, JSON lines otherwise."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tqdm import tqdm

    from sac_wsi.engine.segment import Progress
    from sac_wsi.train.log import Event, Listener
    from sac_wsi.weights.http_fetch import OnBytes

_SECONDS_BETWEEN_LINES = 5.0


def _is_terminal() -> bool:
    return sys.stderr.isatty()


class _Bar:
    """One tqdm bar at a time: a new stage closes the bar before it."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: tqdm[Any] | None = None

    def show(self, stage: str, done: int, total: int | None, unit: str, note: str = "") -> None:
        """Move the bar of ``stage`` to ``done``; open it first if it is new."""
        from tqdm import tqdm

        if self._bar is None or stage != self._stage:
            self.close()
            # opened only now: an earlier call may have done a part already
            self._bar = tqdm(desc=stage, total=total, initial=done, unit=unit, unit_scale=unit == "B")
            self._stage = stage
        self._bar.update(done - self._bar.n)
        if note:
            self._bar.set_postfix_str(note)

    def close(self) -> None:
        """Close the bar that is open, if any."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class _JsonLines:
    """One JSON object per line: when a stage starts, when it ends, and every few seconds between."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._last_stage, self._last_at = "", -_SECONDS_BETWEEN_LINES

    def show(self, stage: str, done: int, total: int | None, **more: object) -> None:
        """Print a line, unless the last one of this stage is only a few seconds old."""
        now = time.monotonic() - self._begin
        ended = total is not None and done >= total
        if not ended and stage == self._last_stage and now - self._last_at < _SECONDS_BETWEEN_LINES:
            return
        self._last_stage, self._last_at = stage, now
        line = {"stage": stage, "done": done, "total": total, **more, "seconds": round(now, 1)}
        with suppress(OSError, ValueError):  # a full or closed stderr does not stop the work
            print(json.dumps(line), file=sys.stderr, flush=True)


@contextmanager
def segment_progress() -> Iterator[Callable[[Progress], None]]:
    """Yield the function for ``segment_slide(on_progress=...)``."""
    bar, lines, terminal = _Bar(), _JsonLines(), _is_terminal()

    def show(progress: Progress) -> None:
        if terminal:
            unit = "tile" if progress.stage == "segment" else "part"
            note = f"{progress.nuclei:,} nuclei" if progress.nuclei else ""
            bar.show(progress.stage, progress.done, progress.total, unit, note)
        else:
            lines.show(progress.stage, progress.done, progress.total, nuclei=progress.nuclei)

    try:
        yield show
    finally:
        bar.close()


@contextmanager
def byte_progress(stage: str) -> Iterator[OnBytes]:
    """Yield the function for ``fetch(on_progress=...)``."""
    bar, lines, terminal = _Bar(), _JsonLines(), _is_terminal()

    def show(done: int, total: int | None) -> None:
        if terminal:
            bar.show(stage, done, total, "B")
        else:
            lines.show(stage, done, total, unit="byte")

    try:
        yield show
    finally:
        bar.close()


@contextmanager
def image_progress(stage: str, images: int) -> Iterator[Callable[[str], None]]:
    """Yield a function to call with the name of each finished image; only a terminal shows a bar."""
    from tqdm import tqdm

    with tqdm(total=images, desc=stage, unit="image", disable=None, leave=False) as bar:

        def on_image(_: str) -> None:
            bar.update()

        yield on_image


@contextmanager
def train_progress(**labels: str) -> Iterator[Listener]:
    """Yield the listener for ``train(listener=...)``; ``labels`` are added to each JSON line."""
    from sac_wsi.train.log import Listener

    if _is_terminal():
        with _training_bar() as listener:
            yield listener
        return

    def on_event(event: Event) -> None:
        click.echo(json.dumps({**labels, **asdict(event)}), err=True)

    yield Listener(on_event=on_event, on_bad=report_left_out)


@contextmanager
def _training_bar() -> Iterator[Listener]:
    from tqdm import tqdm

    from sac_wsi.train.log import Listener

    bar: tqdm[Any] = tqdm(unit="step", dynamic_ncols=True, leave=False)

    def on_step(step: int, steps: int) -> None:
        if bar.total != steps:
            bar.reset(steps)
            bar.initial = step - 1
        bar.update(step - bar.n)

    def on_event(event: Event) -> None:
        values = "  ".join(f"{name} {value:.4f}" for name, value in event.values.items())
        bar.write(f"{event.kind:>10} {event.step:>7,} {event.seconds:>8.0f} s  {values}", file=sys.stderr)

    with bar:
        yield Listener(on_event, on_step, lambda text: bar.write(f"left out: {text}", file=sys.stderr))


def report_left_out(text: str) -> None:
    """Print which image was left out because it cannot be read."""
    click.echo(f"left out: {text}", err=True)
