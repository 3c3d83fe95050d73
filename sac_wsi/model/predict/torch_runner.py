"""Run the networks with PyTorch, on a GPU or on a CPU: pixels in, embedding and maps out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sac_wsi.errors import ConfigError
from sac_wsi.model.nets.convolution import fold_norms
from sac_wsi.model.nets.lora import merge_lora
from sac_wsi.model.nets.sac import SacModel
from sac_wsi.model.points.prompts import PROBABILITY_MAPS
from sac_wsi.model.predict.features import VIEWS, Features, R, T, direction_back, fill_tile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from sac_wsi.model.checkpoint.inference import InferenceSettings
    from sac_wsi.model.predict.context import TileContext

_LEAST_PROBABILITY = 1e-6


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
class TorchRunner:
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

    @property
    def over_prompter(self) -> bool:
        """Whether the masks of the model correct those of its prompter."""
        return self.model.size.over_prompter

    def arithmetic(self) -> AbstractContextManager[object]:
        """Return the context in which the model computes."""
        return arithmetic(self.device, self.bf16)

    def features(self, tiles: Sequence[NDArray[np.uint8]], settings: InferenceSettings) -> list[Features]:
        """Compute the features of one batch of tiles (h, w, 3), each at most as large as the model's tile."""
        model, side = self.model, self.model.size.tile_px
        pixels = np.zeros((self.batch, side, side, 3), np.uint8)
        for i, tile in enumerate(tiles):
            pixels[i] = fill_tile(tile, side)
        with torch.inference_mode(), self.arithmetic():
            images = model.normalise(torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2))
            found = model.forward_features(images, embed=settings.mode != "prompter")
            logits = found.prompter_logits
            maps = None if logits is None else map_values(logits)
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


def arithmetic(device: str, bf16: bool) -> AbstractContextManager[object]:
    """Mixed precision, or float32."""
    return torch.autocast(torch.device(device).type, torch.bfloat16) if bf16 else nullcontext()


def map_values(logits: Tensor) -> Tensor:
    """Return probabilities for the logits (B, M, h, w), and the offsets as they are."""
    logits = logits.float()
    values = logits[:, :PROBABILITY_MAPS].sigmoid()
    offsets = logits[:, PROBABILITY_MAPS:]
    return torch.cat((values, offsets), dim=1) if offsets.shape[1] else values


def _averaged(
    model: SacModel, images: Tensor, maps: Tensor, views: int, offset_yx: tuple[float, float]
) -> Tensor:
    """Average ``maps`` with the maps of the tiles in other symmetries of the square."""
    for quarters, mirrored in VIEWS[1:views]:
        seen = map_values(model.maps(_moved(images, quarters, mirrored)))
        seen = _moved_back(seen, quarters, mirrored)
        if any(offset_yx):
            there_yx = direction_back(*offset_yx, quarters, mirrored)
            seen = _shifted(seen, offset_yx[0] - there_yx[0], offset_yx[1] - there_yx[1])
        maps = maps + seen
    return maps / views


def _moved(images: Tensor, quarters: int, mirrored: bool) -> Tensor:
    turned = torch.rot90(images, quarters, (2, 3))
    return turned.flip(3) if mirrored else turned


def _moved_back(maps: Tensor, quarters: int, mirrored: bool) -> Tensor:
    turned = torch.rot90(maps.flip(3) if mirrored else maps, -quarters, (2, 3))
    if turned.shape[1] <= PROBABILITY_MAPS:
        return turned
    offsets = direction_back(turned[:, 3], turned[:, 4], quarters, mirrored)
    return torch.cat((turned[:, :PROBABILITY_MAPS], torch.stack(offsets, dim=1)), dim=1)


def _shifted(maps: Tensor, down: float, right: float) -> Tensor:
    """Shift maps, also by fractions of a pixel; pixels beyond the edge repeat it."""
    height, width = maps.shape[2:]
    place = maps.new_tensor([[[1, 0, -2 * right / width], [0, 1, -2 * down / height]]])
    # positions in bf16 would be wrong by a whole pixel
    with torch.autocast(maps.device.type, enabled=False):
        grid = functional.affine_grid(place.expand(len(maps), -1, -1), list(maps.shape), align_corners=False)
        return functional.grid_sample(maps, grid, padding_mode="border", align_corners=False)


def torch_runner_of(context: TileContext) -> TorchRunner:
    """Return the model of a tile whose encoder and decoder are needed; only PyTorch runs these."""
    assert isinstance(context.runner, TorchRunner)
    return context.runner


def foreground_logits(runner: TorchRunner, features: Features) -> Tensor | None:
    """Return (1, side, side) logits of the prompter if the model's masks correct them, else None."""
    if not runner.model.size.over_prompter:
        return None
    assert features.maps is not None
    return torch.from_numpy(features.maps[:1]).to(runner.device).logit(eps=_LEAST_PROBABILITY)


def make_torch_runner(model: SacModel, device: str, precision: str) -> TorchRunner:
    """Prepare a model for inference: fold LoRA's updates and batch norms into it, in place."""
    if not _is_there(torch.device(device)):
        raise ConfigError(f"device is {device} and there is none: leave it out, or pass --device cpu.")
    if model.image_encoder is not None:
        merge_lora(model.image_encoder)
    if model.prompter is not None:
        fold_norms(model.prompter)
    return TorchRunner(model.to(device), device, precision == "bf16")


def _is_there(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    return device.type != "mps" or torch.backends.mps.is_available()
