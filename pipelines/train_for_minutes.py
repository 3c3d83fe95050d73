"""Train for a given number of minutes, so that the learning rate has fallen to 0 when they are over.

    python pipelines/train_for_minutes.py configs/train/sac_tiny_prompter.yaml out --minutes 10 \\
        --set data.images=training.zip --set start=start.safetensors --set schedule.batch=64

A few steps are timed first; the number of epochs follows from them. Writes OUT/run (the run's folder, which
`sac-wsi train` can continue) and OUT/best_half.safetensors, the best weights in half precision. For a GPU
that is lent for a short time: all that it needs is the archive, the start and this repository.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sac_wsi.errors import ConfigError, SacWsiError
from sac_wsi.files.atomic import make_folder
from sac_wsi.model.checkpoint.file import load_model, save_checkpoint
from sac_wsi.settings.read import read_settings
from sac_wsi.settings.typed import build
from sac_wsi.train.config import TrainConfig
from sac_wsi.train.log import Listener
from sac_wsi.train.loop import train
from sac_wsi.train.source import open_source

if TYPE_CHECKING:
    from sac_wsi.train.log import Event
    from sac_wsi.train.source import Source

_TIMED_STEPS = 30
_SPARE = 0.9
"""Part of the time that is planned for steps; validations, loading and saving take the rest."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    begin = time.monotonic()
    try:
        if options.minutes <= 0:
            raise ConfigError(f"--minutes is {options.minutes:g}: needed more than 0.")
        config = build(TrainConfig, read_settings(options.config, options.changes))
        source = open_source(config.data, config.mpp, config.size.tile_px)
        step_s = seconds_per_step(config, source)
        left_s = 60 * options.minutes - (time.monotonic() - begin)
        config = fitted(config, step_s, left_s, options.out)
        print(f"{step_s:.3f} s a step; {config.schedule.epochs} epochs", flush=True)
        result = train(config, source, listener=Listener(on_event=_print))
        print(save_half(result.best, options.out))
    except SacWsiError as error:
        sys.exit(f"train_for_minutes: {error}")


def _print(event: Event) -> None:
    print(json.dumps(asdict(event)), flush=True)


def seconds_per_step(config: TrainConfig, source: Source) -> float:
    """Return the time of a step: that of a second epoch, when kernels are compiled and images are read."""
    with tempfile.TemporaryDirectory() as folder:
        schedule = replace(
            config.schedule, epochs=2, epoch_steps=_TIMED_STEPS, validate_every=2, best_by="loss"
        )
        timed = replace(config, output_dir=folder, schedule=schedule)
        times: list[float] = []
        train(timed, source, listener=Listener(on_step=lambda step, steps: times.append(time.monotonic())))
    return (times[-1] - times[_TIMED_STEPS - 1]) / _TIMED_STEPS


def fitted(config: TrainConfig, step_s: float, seconds: float, out: Path) -> TrainConfig:
    """Return the config with as many epochs as fit into the time, at least one; it stops when it is over."""
    seconds = max(1.0, seconds)  # the timing itself may have taken all of it
    epoch_s = step_s * (config.schedule.epoch_steps or _TIMED_STEPS)
    epochs = max(1, int(_SPARE * seconds / epoch_s))
    validate_every = max(1, epochs // 6)
    schedule = replace(
        config.schedule, epochs=epochs, validate_every=validate_every, minutes=seconds / 60, patience=0
    )
    return replace(config, output_dir=str(out / "run"), schedule=schedule)


def save_half(best: Path, out: Path) -> Path:
    """Write the weights in half precision and return where."""
    model, header = load_model(best)
    path = out / "best_half.safetensors"
    make_folder(out)
    save_checkpoint(path, model, header.card, torch.float16)
    return path


if __name__ == "__main__":
    main()
