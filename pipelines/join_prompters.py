"""Join two U-Nets into a wider one whose logits are the mean of theirs, to train it further.

    python pipelines/join_prompters.py runs/a/best.safetensors runs/b/best.safetensors joined.safetensors
    sac-wsi train … --set start=joined.safetensors --set size.prompter.width=32

In every layer the features of both stand side by side. The weights between the two are 0 at first and are
trained later. On a CPU this is the cheapest way to a wide U-Net: two narrow ones train in parallel.
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
from sac_wsi.model.nets.sac import build_model
from sac_wsi.model.nets.sizes import ModelSize, PrompterSize
from sac_wsi.train.cards import terms_of

if TYPE_CHECKING:
    from sac_wsi.model.checkpoint.card import Card
    from sac_wsi.model.nets.unet import UNet

State = dict[str, Tensor]


def joined(first: UNet, second: UNet) -> State:
    """Return the state of a U-Net whose logits are the mean of those of two."""
    one, other = first.state_dict(), second.state_dict()
    return {name: _joined(name, one[name], other[name]) for name in one}


def _joined(name: str, one: Tensor, other: Tensor) -> Tensor:
    if name.startswith("out."):
        return (torch.cat((one, other), dim=1) if one.ndim > 1 else one + other) / 2
    if one.ndim == 0:
        return one
    if one.ndim == 1 or name.startswith("down.0.0."):
        return torch.cat((one, other))
    if name.startswith("up.") and name.split(".")[2] == "0":
        # the input of a block is the upsampled features, then the skipped ones: join each part
        below, skipped = (_beside(*halves) for halves in zip(one.chunk(2, 1), other.chunk(2, 1), strict=True))
        return torch.cat((below, skipped), dim=1)
    return _beside(one, other)


def _beside(one: Tensor, other: Tensor) -> Tensor:
    """Return two kernels along the diagonal, zeros elsewhere."""
    sizes = [a + b for a, b in zip(one.shape[:2], other.shape[:2], strict=True)]
    both = one.new_zeros(*sizes, *one.shape[2:])
    both[: one.shape[0], : one.shape[1]] = one
    both[one.shape[0] :, one.shape[1] :] = other
    return both


def join(first: Path, second: Path, path: Path) -> None:
    """Write the joined checkpoint with the licence terms of both."""
    prompters, cards = [], []
    for source in (first, second):
        model, header = load_model(source)
        if model.prompter is None:
            raise CheckpointError(f"{source} has no prompter: needed two models with a U-Net.")
        prompters.append(model.prompter)
        cards.append(header.card)
    one, other = cards
    if one.mpp != other.mpp:
        raise CheckpointError(
            f"{first} was made for {one.mpp} and {second} for {other.mpp} µm per pixel: needed the same."
        )
    maps = (one.size.prompter.maps, other.size.prompter.maps)
    if maps[0] != maps[1]:
        raise CheckpointError(
            f"{first} and {second} have different maps ({maps[0]} and {maps[1]}): needed the same number."
        )
    if (one.pixel_mean, one.pixel_std) != (other.pixel_mean, other.pixel_std):
        raise CheckpointError(f"{first} and {second} have different normalisations: needed the same one.")
    width = one.size.prompter.width + other.size.prompter.width
    size = ModelSize("unet", tile_px=one.size.tile_px, prompter=PrompterSize(width, one.size.prompter.maps))
    model = build_model(size)
    assert model.prompter is not None
    model.prompter.load_state_dict(joined(*prompters))
    save_checkpoint(path, model, _card(path.stem, size, one, other))


def _card(name: str, size: ModelSize, one: Card, other: Card) -> Card:
    terms = terms_of(one.training, other.training)
    training = replace(terms, code_version=one.training.code_version)
    use = replace(one.inference, mode="prompter")
    return replace(one, name=name, size=size, inference=use, training=training, metrics={})


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    for name in ("first", "second", "joined"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    try:
        join(options.first, options.second, options.joined)
    except SacWsiError as error:
        print(f"join_prompters: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
