"""Run the networks on tiles: pixels in, embedding and maps out.

A kernel may sum in another order for another batch size or number of threads, and a rerun that divides the
work differently must find the same nuclei. So all batches have the same size, filled up with empty tiles; and
on a CPU one thread computes a tile, and as many tiles run at a time as there are threads.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from sac_wsi.errors import ConfigError
from sac_wsi.model.nets.convolution import fold_norms
from sac_wsi.model.nets.lora import merge_lora
from sac_wsi.model.nets.sac import SacModel
from sac_wsi.model.points.prompts import PROBABILITY_MAPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sac_wsi.model.checkpoint.inference import InferenceSettings

_LEAST_PROBABILITY = 1e-6
T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def one_thread() -> Iterator[int]:
    """Use one thread for each operation of torch; yields the number of threads before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class Runner:
    """A model on its device."""

    model: SacModel
    device: str
    bf16: bool

    @property
    def batch(self) -> int:
        """Tiles in one batch."""
        return 1 if self.device == "cpu" else 4

    def map(self, work: Callable[[Sequence[T]], list[R]], items: Sequence[T]) -> list[R]:
        """Apply ``work`` to batches of the items; return the results in order."""
        batches = [items[first : first + self.batch] for first in range(0, len(items), self.batch)]
        if self.device != "cpu":
            return [result for batch in batches for result in work(batch)]
        with one_thread() as threads, ThreadPoolExecutor(threads, "tile") as pool:
            return [result for results in pool.map(work, batches) for result in results]

    def arithmetic(self) -> AbstractContextManager[object]:
        """Return the context in which the model computes."""
        return arithmetic(self.device, self.bf16)


def arithmetic(device: str, bf16: bool) -> AbstractContextManager[object]:
    """Mixed precision, or float32."""
    return torch.autocast(torch.device(device).type, torch.bfloat16) if bf16 else nullcontext()


@dataclass(frozen=True)
class Features:
    """Outputs of the networks for one tile.

    embedding  (1, width, cells, cells), None if only the prompter's maps are needed
    maps       (1 or 3, tile, tile) probabilities, None without a prompter
    """

    embedding: Tensor | None
    maps: NDArray[np.float32] | None


def features(
    runner: Runner, tiles: Sequence[NDArray[np.uint8]], settings: InferenceSettings
) -> list[Features]:
    """Compute the features of one batch.

    Tiles are (h, w, 3), at most as large as the model's tile; smaller ones are mirrored to its size.
    """
    model, side = runner.model, runner.model.size.tile_px
    pixels = np.zeros((runner.batch, side, side, 3), np.uint8)
    for i, tile in enumerate(tiles):
        height, width = tile.shape[:2]
        if height > side or width > side:
            raise ConfigError(
                f"A tile is {height} x {width} pixels; this model takes {side}: pass --set "
                f"grid.tile_px={side}."
            )
        pixels[i] = np.pad(tile, ((0, side - height), (0, side - width), (0, 0)), mode="symmetric")
    with torch.inference_mode(), runner.arithmetic():
        images = model.normalise(torch.from_numpy(pixels).to(runner.device).permute(0, 3, 1, 2))
        found = model.forward_features(images, embed=settings.mode != "prompter")
        logits = found.prompter_logits
        maps = None if logits is None else _probabilities(logits)
        if maps is not None and settings.tta > 1:
            maps = _averaged(model, images, maps, settings.tta, settings.label_offset_yx)
    host_maps = None if maps is None else maps.cpu().numpy()
    return [
        Features(
            embedding=None if found.embedding is None else found.embedding[i : i + 1],
            maps=None if host_maps is None else host_maps[i],
        )
        for i in range(len(tiles))
    ]


def _probabilities(maps: Tensor) -> Tensor:
    return maps[:, :PROBABILITY_MAPS].float().sigmoid()


_VIEWS = ((0, False), (2, False), (1, True), (3, True), (1, False), (3, False), (0, True), (2, True))
"""Symmetries of the square as (quarter turns, mirrored first); the first ones differ most."""


def _averaged(
    model: SacModel, images: Tensor, maps: Tensor, views: int, offset_yx: tuple[float, float]
) -> Tensor:
    """Average ``maps`` with the maps of the tiles in other symmetries of the square."""
    for quarters, mirrored in _VIEWS[1:views]:
        seen = _probabilities(model.maps(_moved(images, quarters, mirrored)))
        seen = _moved_back(seen, quarters, mirrored)
        if any(offset_yx):
            there_yx = _direction_back(offset_yx, quarters, mirrored)
            seen = _shifted(seen, offset_yx[0] - there_yx[0], offset_yx[1] - there_yx[1])
        maps = maps + seen
    return maps / views


def _moved(images: Tensor, quarters: int, mirrored: bool) -> Tensor:
    turned = torch.rot90(images, quarters, (2, 3))
    return turned.flip(3) if mirrored else turned


def _moved_back(maps: Tensor, quarters: int, mirrored: bool) -> Tensor:
    turned = maps.flip(3) if mirrored else maps
    return torch.rot90(turned, -quarters, (2, 3))


def _direction_back(offset_yx: tuple[float, float], quarters: int, mirrored: bool) -> tuple[float, float]:
    """Return an offset (y, x) after ``_moved_back``."""
    y, x = offset_yx[0], -offset_yx[1] if mirrored else offset_yx[1]
    for _ in range(quarters):
        y, x = x, -y
    return y, x


def _shifted(maps: Tensor, down: float, right: float) -> Tensor:
    """Shift maps, also by fractions of a pixel; pixels beyond the edge repeat it."""
    height, width = maps.shape[2:]
    place = maps.new_tensor([[[1, 0, -2 * right / width], [0, 1, -2 * down / height]]])
    # positions in bf16 would be wrong by a whole pixel
    with torch.autocast(maps.device.type, enabled=False):
        grid = functional.affine_grid(place.expand(len(maps), -1, -1), list(maps.shape), align_corners=False)
        return functional.grid_sample(maps, grid, padding_mode="border", align_corners=False)


def foreground_logits(runner: Runner, features: Features) -> Tensor | None:
    """Return (1, side, side) logits of the prompter if the model's masks correct them, else None."""
    if not runner.model.size.over_prompter:
        return None
    assert features.maps is not None
    return torch.from_numpy(features.maps[:1]).to(runner.device).logit(eps=_LEAST_PROBABILITY)


def resolve(device: str, precision: str) -> tuple[str, str]:
    """Replace ``auto``: CUDA if there is a device, bf16 if the device computes in it."""
    has_cuda = torch.cuda.is_available()
    if device == "auto":
        device = "cuda" if has_cuda else "cpu"
    if precision == "auto":
        fast = _cpu_has_bf16() if device == "cpu" else has_cuda and torch.cuda.is_bf16_supported()
        precision = "bf16" if fast else "float32"
    return device, precision


def _cpu_has_bf16() -> bool:
    """Return whether the CPU computes in bf16; on others bf16 is emulated and slower than float32."""
    read: Callable[[], Mapping[str, object]] = getattr(torch.cpu, "get_capabilities", dict)
    capabilities = read()  # empty before torch 2.12
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def make_runner(model: SacModel, device: str, precision: str) -> Runner:
    """Prepare a model for inference: fold LoRA's updates and batch norms into it, in place."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda and there is none: leave it out, or pass --set device=cpu.")
    if model.image_encoder is not None:
        merge_lora(model.image_encoder)
    if model.prompter is not None:
        fold_norms(model.prompter)
    return Runner(model.to(device), device, precision == "bf16")
