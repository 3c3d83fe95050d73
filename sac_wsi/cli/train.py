"""`sac-wsi train`"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sac_wsi.train.log import Event, Listener


@click.command("train")
@click.argument("config_file", metavar="CONFIG", type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting.")
@click.option("--skip-bad", is_flag=True, help="Go on without images that cannot be read.")
def command(config_file: Path, overrides: tuple[str, ...], skip_bad: bool) -> None:
    """Train a model as CONFIG says, or go on where the last call stopped.

    Several GPUs of a machine: torchrun --nproc-per-node 2 -m sac_wsi.cli train CONFIG

    \b
    Example:
      sac-wsi train configs/train/smoke.yaml --set output_dir=runs/smoke
    """
    from sac_wsi.cli.kernels import announce_compilation
    from sac_wsi.config import read_settings, settings_digest
    from sac_wsi.train.config import TrainConfig, what_is_learnt
    from sac_wsi.train.loop import train
    from sac_wsi.train.source import open_source
    from sac_wsi.typed import build

    announce_compilation()
    if skip_bad:
        overrides += ("data.skip_bad=true",)
    config = build(TrainConfig, read_settings(config_file, overrides))
    source = open_source(config.data, config.mpp)
    with _listener() as listener:
        run = train(config, source, digest=settings_digest(what_is_learnt(config)), listener=listener)
    if int(os.environ.get("RANK", "0")) == 0:
        click.echo(f"checkpoint  {run.best}")
        if not run.complete:
            click.echo("out of time: run the same command to go on", err=True)


@contextmanager
def _listener() -> Iterator[Listener]:
    """A bar on a terminal, lines of JSON elsewhere."""
    from sac_wsi.train.log import Listener

    if not sys.stderr.isatty():
        yield Listener(on_event=_line, on_bad=_bad)
        return
    from tqdm import tqdm

    bar: tqdm[Any] = tqdm(unit="step", dynamic_ncols=True)

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


def _line(event: Event) -> None:
    click.echo(json.dumps(asdict(event)), err=True)


def _bad(text: str) -> None:
    click.echo(f"left out: {text}", err=True)
