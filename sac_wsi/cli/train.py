"""`sac-wsi train`"""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command("train")
@click.argument("config_file", metavar="CONFIG", type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting.")
@click.option("--skip-bad", is_flag=True, help="Go on without images that cannot be read.")
def command(config_file: Path, overrides: tuple[str, ...], skip_bad: bool) -> None:
    """Train a model as CONFIG says, or go on where the last call stopped.

    Several GPUs of a machine: torchrun --nproc-per-node 2 --no-python sac-wsi train CONFIG

    \b
    Example:
      sac-wsi train configs/train/smoke.yaml --set output_dir=runs/smoke
    """
    from sac_wsi.cli.kernels import announce_compilation
    from sac_wsi.cli.train_progress import train_progress
    from sac_wsi.settings.read import read_settings
    from sac_wsi.settings.typed import build
    from sac_wsi.train.config import TrainConfig
    from sac_wsi.train.loop import train
    from sac_wsi.train.source import open_source

    announce_compilation()
    if skip_bad:
        overrides += ("data.skip_bad=true",)
    config = build(TrainConfig, read_settings(config_file, overrides))
    source = open_source(config.data, config.mpp, config.size.tile_px)
    with train_progress() as listener:
        run = train(config, source, listener=listener)
    if int(os.environ.get("RANK", "0")) == 0:
        click.echo(f"checkpoint  {run.best}")
        if not run.complete:
            click.echo("out of time: run the same command to go on", err=True)
