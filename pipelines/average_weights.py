"""Average the weights of several checkpoints; on new images the mean is often better than each of them.

    python pipelines/average_weights.py runs/a/best.safetensors runs/b/last.safetensors --out mean.safetensors

They must come from one run, or from runs that continued from the same one: the mean of independently
trained weights is useless.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sac_wsi import SacWsiError
from sac_wsi.errors import CheckpointError
from sac_wsi.model.checkpoint.file import load_model, save_checkpoint
from sac_wsi.model.checkpoint.header import read_header
from sac_wsi.train.cards import terms_of

if TYPE_CHECKING:
    from sac_wsi.model.checkpoint.card import Card

State = dict[str, Tensor]


def mean(states: list[State]) -> State:
    """Return the mean of each tensor; of counters the largest."""
    return {name: _mean([state[name] for state in states]) for name in states[0]}


def _mean(tensors: list[Tensor]) -> Tensor:
    together = torch.stack(tensors)
    if not together.is_floating_point():
        return together.amax(dim=0)
    return together.double().mean(dim=0).to(together.dtype)


def average(sources: list[Path], path: Path, licence: str = "") -> None:
    """Write the mean with the first card and the licence terms of all, or with ``licence``."""
    cards = [read_header(source).card for source in sources]
    for source, card in zip(sources, cards, strict=True):
        if _compatible_with(card) != _compatible_with(cards[0]):
            raise CheckpointError(
                f"{source} and {sources[0]} differ in size, resolution or base: needed weights that "
                "continued from the same ones."
            )
    models = [load_model(source)[0] for source in sources]
    models[0].load_state_dict(mean([model.state_dict() for model in models]))
    terms = terms_of(*(card.training for card in cards), licence=licence)
    training = replace(terms, steps=cards[0].training.steps, code_version=cards[0].training.code_version)
    save_checkpoint(path, models[0], replace(cards[0], name=path.stem, training=training, metrics={}))


def _compatible_with(card: Card) -> tuple[object, ...]:
    return (card.size, card.mpp, card.pixel_mean, card.pixel_std, card.kind, card.base_sha256)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("checkpoint", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--licence", default="", help="of the mean  [those of all checkpoints]")
    options = parser.parse_args()
    try:
        average(options.checkpoint, options.out, options.licence)
    except SacWsiError as error:
        print(f"average_weights: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
