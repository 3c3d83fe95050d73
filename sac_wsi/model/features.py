"""The networks over tiles: pixels in, embedding and maps out. Batches are of one size, always.

A kernel may choose another order of sums for another batch size, and a rerun that cuts the work elsewhere
must find the same nuclei: so a batch that is not full is filled up with white tiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sac_wsi.errors import ConfigError
from sac_wsi.model.sac import SacModel

WHITE = 255


@dataclass(frozen=True)
class Runner:
    """A model on its device."""

    model: SacModel
    device: str
    bf16: bool

    @property
    def batch(self) -> int:
        """On a CPU a batch gains nothing."""
        return 1 if self.device == "cpu" else 4

    def arithmetic(self) -> AbstractContextManager[object]:
        if not self.bf16:
            return nullcontext()
        return torch.autocast(self.device, torch.bfloat16)


@dataclass(frozen=True)
class Features:
    """What the networks say of one tile.

    embedding  (1, width, cells, cells), None for a U-Net alone
    maps       (M, tile, tile) probabilities, None without a prompter
    """

    embedding: Tensor | None
    maps: NDArray[np.float32] | None


def features(runner: Runner, tiles: Sequence[NDArray[np.uint8]]) -> Iterator[Features]:
    """In order. Tiles are (h, w, 3), at most of the model's size; smaller ones are set on white."""
    for first in range(0, len(tiles), runner.batch):
        some = tiles[first : first + runner.batch]
        yield from _of_batch(runner, some)


def _of_batch(runner: Runner, tiles: Sequence[NDArray[np.uint8]]) -> Iterator[Features]:
    model, side = runner.model, runner.model.size.tile_px
    pixels = np.full((runner.batch, side, side, 3), WHITE, np.uint8)
    for i, tile in enumerate(tiles):
        height, width = tile.shape[:2]
        if height > side or width > side:
            raise ConfigError(
                f"A tile is {height} x {width} pixels; this model takes {side}: pass --set "
                f"grid.tile_px={side}."
            )
        pixels[i, :height, :width] = tile
    with torch.inference_mode(), runner.arithmetic():
        images = model.normalise(torch.from_numpy(pixels).to(runner.device).permute(0, 3, 1, 2))
        embedding = model.encode(images) if model.image_encoder is not None else None
        maps = model.maps(images).float().sigmoid().cpu().numpy() if model.prompter is not None else None
    for i in range(len(tiles)):
        yield Features(
            embedding=None if embedding is None else embedding[i : i + 1],
            maps=None if maps is None else maps[i],
        )


def make_runner(model: SacModel, device: str, precision: str) -> Runner:
    """``auto`` settled: CUDA where there is one, bf16 there and float32 elsewhere."""
    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise ConfigError("device is cuda and there is none: leave it out, or pass --set device=cpu.")
    chosen = ("cuda" if has_cuda else "cpu") if device == "auto" else device
    bf16 = precision == "bf16" or (precision == "auto" and chosen == "cuda")
    return Runner(model.to(chosen), chosen, bf16)
