"""The command `sac-wsi train`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

from sac_wsi.cli.kernels import announce_compilation
from sac_wsi.cli.options import PATH, set_option, skip_bad_option
from sac_wsi.cli.progress import train_progress

if TYPE_CHECKING:
    from pathlib import Path


_NOTHING_LEARNT = 0.01


@click.command("train")
@click.argument("config_file", metavar="CONFIG", type=PATH)
@set_option("One setting of the config, such as output_dir=runs/first.")
@skip_bad_option
def command(config_file: Path, overrides: tuple[str, ...], skip_bad: bool) -> None:
    """Train a model as CONFIG says, or continue where the last call stopped.

    On several GPUs of one machine: torchrun --nproc-per-node 2 --no-python sac-wsi train CONFIG

    \b
    Example:
      sac-wsi train configs/train/smoke.yaml --set output_dir=runs/smoke
    """
    from sac_wsi.model.checkpoint.inference import check_names
    from sac_wsi.settings.read import read_settings
    from sac_wsi.settings.typed import build
    from sac_wsi.train.config import TrainConfig
    from sac_wsi.train.loop import train
    from sac_wsi.train.run_folder import REPORT, SCORES
    from sac_wsi.train.source import open_source

    announce_compilation()
    if skip_bad:
        overrides += ("data.skip_bad=true",)
    settings = read_settings(config_file, overrides)
    if isinstance(settings.get("inference"), dict):
        check_names(settings["inference"], "inference.")
    config = build(TrainConfig, settings)
    source = open_source(config.data, config.mpp, config.size.tile_px)
    with train_progress() as listener:
        run = train(config, source, listener=listener)
    if int(os.environ.get("RANK", "0")) == 0:
        click.echo(f"checkpoint  {run.best}")
        if run.complete:
            click.echo(f"report      {run.best.with_name(REPORT)}")
            scores = json.loads(run.best.with_name(SCORES).read_text(encoding="utf-8"))
            if scores["mean"]["dice"] < _NOTHING_LEARNT:
                click.echo(
                    "warning: on the validation images it finds almost nothing (Dice "
                    f"{scores['mean']['dice']:.2f}). Train longer, and look at the labels with `sac-wsi data "
                    "check --sheet`.",
                    err=True,
                )
        if not run.complete:
            click.echo("The time limit is reached: run the same command to continue.", err=True)
