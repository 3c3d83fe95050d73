"""A training on stderr: a bar on a terminal, lines of JSON elsewhere."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sac_wsi.train.log import Event, Listener


@contextmanager
def train_progress(**told: str) -> Iterator[Listener]:
    """``told`` is added to each line of JSON."""
    from sac_wsi.train.log import Listener

    if sys.stderr.isatty():
        with _bar() as listener:
            yield listener
        return

    def on_event(event: Event) -> None:
        click.echo(json.dumps({**told, **asdict(event)}), err=True)

    yield Listener(on_event=on_event, on_bad=left_out)


@contextmanager
def _bar() -> Iterator[Listener]:
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


def left_out(text: str) -> None:
    click.echo(f"left out: {text}", err=True)
