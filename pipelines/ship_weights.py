"""Make a training run's checkpoint one of those that ship: half precision, its name and use settled.

    python pipelines/ship_weights.py runs/sac_mini/best.safetensors sac-tiny --set tta=2 \\
        --metric monuseg_zero_shot_dice=0.79

What may not be used commercially goes to sac_wsi/weights/research, which the wheel leaves out.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path

import torch

from sac_wsi import SacWsiError
from sac_wsi.config import read_settings
from sac_wsi.model.checkpoint import load_model, save_checkpoint
from sac_wsi.model.choose import merged
from sac_wsi.model.inference import InferenceSettings
from sac_wsi.model_files import shipped_path
from sac_wsi.typed import build


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("checkpoint", type=Path)
    made.add_argument("name")
    made.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    made.add_argument("--metric", dest="metrics", action="append", default=[], metavar="NAME=NUMBER")
    return made


def ship(checkpoint: Path, name: str, changes: list[str], metrics: dict[str, float]) -> Path:
    """Write the file that ships and return where it is."""
    model, header = load_model(checkpoint)
    card = header.card
    use = merged(asdict(card.inference), read_settings(None, changes))
    card = replace(
        card,
        name=name,
        inference=build(InferenceSettings, use, "sac."),
        metrics={**card.metrics, **metrics},
    )
    path = shipped_path(name, non_commercial=card.training.non_commercial)
    save_checkpoint(path, model, card, torch.float16)
    return path


def main() -> int:
    options = parser().parse_args()
    metrics = {key: float(value) for key, _, value in (told.partition("=") for told in options.metrics)}
    try:
        path = ship(options.checkpoint, options.name, options.changes, metrics)
    except SacWsiError as error:
        print(f"ship_weights: {error}", file=sys.stderr)
        return 2
    print(f"{path}  {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
