"""`sac-wsi train`"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sac_wsi.train.loop import Event


@click.command("train")
@click.argument("config_file", metavar="CONFIG", type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting.")
def command(config_file: Path, overrides: tuple[str, ...]) -> None:
    """Train a model as CONFIG says, or go on where the last call stopped.

    \b
    Example:
      sac-wsi train configs/train/smoke.yaml --set output_dir=runs/smoke
    """
    from sac_wsi.config import read_settings, settings_digest
    from sac_wsi.train.config import TrainConfig
    from sac_wsi.train.loop import train
    from sac_wsi.train.source import open_images
    from sac_wsi.typed import build

    config = build(TrainConfig, read_settings(config_file, overrides))
    # how long a call may take is no part of what is learnt
    learnt = asdict(config)
    del learnt["output_dir"], learnt["schedule"]["minutes"]
    images, validation = open_images(config)
    best = train(config, images, validation, digest=settings_digest(learnt), on_event=_tell)
    click.echo(f"checkpoint  {best}")


def _tell(event: Event) -> None:
    if not sys.stderr.isatty():
        click.echo(json.dumps(asdict(event)), err=True)
        return
    losses = "  ".join(f"{name} {value:.4f}" for name, value in event.losses.items())
    click.echo(f"{event.kind:>10} {event.step:>7,} {event.seconds:>8.0f} s  {losses}", err=True)
