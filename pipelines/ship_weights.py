"""Convert the checkpoint of a training run to one that ships: half precision, a name, settings.

    python pipelines/ship_weights.py runs/sac_tiny/best.safetensors sac-tiny \\
        --set mode=prompter --set tta=4 --metric monuseg_zero_shot_pq=0.537

The scores of the run are left out: they were measured with other settings, in single precision. Weights for
non-commercial use are written to sac_wsi/weights/research, which is not part of the wheel.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sac_wsi import SacWsiError
from sac_wsi.errors import ConfigError
from sac_wsi.files.atomic import make_folder
from sac_wsi.model.checkpoint.file import load_model, save_checkpoint, verify
from sac_wsi.model.checkpoint.header import read_header
from sac_wsi.model.checkpoint.inference import InferenceSettings
from sac_wsi.model.predict.choose import merged
from sac_wsi.model.predict.segmenter import SacSegmenter
from sac_wsi.settings.read import read_settings
from sac_wsi.settings.typed import build
from sac_wsi.train.cards import forbids_commerce, terms_of
from sac_wsi.weights.catalogue import shipped_path

if TYPE_CHECKING:
    from sac_wsi.model.checkpoint.card import Card
    from sac_wsi.model.nets.sac import SacModel

_COVERED = {"CC-BY-4.0", "CC0-1.0"}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("checkpoint", type=Path)
    made.add_argument("name")
    made.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    made.add_argument("--prompter", type=Path, metavar="FILE", help="take the prompter of this checkpoint")
    made.add_argument("--metric", dest="metrics", action="append", default=[], metavar="NAME=NUMBER")
    return made


def ship(
    checkpoint: Path, name: str, changes: list[str], metrics: dict[str, float], prompter: Path | None = None
) -> Path:
    """Write the file that ships and return where it is."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise ConfigError(f"{name!r} is not a name for weights: needed lower-case letters, digits, - and .")
    card = read_header(checkpoint).card
    if card.kind != "whole":
        raise ConfigError(
            f"{checkpoint} holds only the weights trained over {card.base}: needed all weights."
        )
    model, _ = load_model(checkpoint)
    if prompter is not None:
        card = _with_prompter(model, card, prompter)
    use = merged(asdict(card.inference), read_settings(None, changes))
    card = replace(
        card,
        name=name,
        inference=build(InferenceSettings, use, "sac."),
        metrics=metrics,
    )
    forbids = card.training.non_commercial
    if forbids != forbids_commerce(card.training.licence):
        raise ConfigError(
            f"{checkpoint} has the licence {card.training.licence} and non_commercial {forbids}: needed both "
            "to agree. Train with --set licence=… of the data."
        )
    covered = set(card.training.licence.split("; ")) <= _COVERED
    if not forbids and not covered:
        raise ConfigError(
            f"{checkpoint} has the licence {card.training.licence!r}: the LICENSE of the shipped weights "
            f"covers {', '.join(sorted(_COVERED))}. Train with --set licence=… of the data."
        )
    path = shipped_path(name, non_commercial=forbids)
    other = shipped_path(name, non_commercial=not forbids)
    if other.exists():
        raise ConfigError(f"{other} already has this name: choose another, or remove that file.")
    make_folder(path.parent, "Shipped weights are kept there.")
    beside = path.with_suffix(".new")
    try:
        save_checkpoint(beside, model, card, torch.float16)
        if faults := verify(beside):
            raise ConfigError(f"In half precision {checkpoint} cannot be used: {faults[0]}")
        SacSegmenter(beside, read_header(beside), card.inference)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path


def _with_prompter(model: SacModel, card: Card, prompter: Path) -> Card:
    """Put another prompter into ``model``; return the card with the licence terms of both."""
    other, header = load_model(prompter)
    if model.prompter is None or other.prompter is None or card.size.prompter != header.card.size.prompter:
        raise ConfigError(
            f"{prompter} has the prompter {header.card.size.prompter} and {card.name} "
            f"{card.size.prompter}: needed the same size."
        )
    theirs = header.card
    if (theirs.mpp, theirs.pixel_mean, theirs.pixel_std) != (card.mpp, card.pixel_mean, card.pixel_std):
        raise ConfigError(
            f"{prompter} is for {theirs.mpp} µm per pixel and {card.name} for {card.mpp}, or their "
            "normalisation differs: needed the same."
        )
    model.prompter.load_state_dict(other.prompter.state_dict())
    terms = terms_of(card.training, theirs.training)
    training = replace(terms, steps=card.training.steps, code_version=card.training.code_version)
    return replace(card, training=training)


def main() -> int:
    options = parser().parse_args()
    try:
        metrics = {key: float(value) for key, value in (each.split("=") for each in options.metrics)}
    except ValueError:
        print(f"ship_weights: --metric {options.metrics}: needed NAME=NUMBER", file=sys.stderr)
        return 2
    try:
        path = ship(options.checkpoint, options.name, options.changes, metrics, options.prompter)
    except SacWsiError as error:
        print(f"ship_weights: {error}", file=sys.stderr)
        return 2
    print(f"{path}  {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
