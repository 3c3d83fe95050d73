"""Outputs of the networks for tiles: what all engines share.

A kernel may sum in another order for another batch size or number of threads, and a rerun that divides the
work differently must find the same nuclei. So all batches have the same size, filled up with empty tiles; and
on a CPU one thread computes a tile, and as many tiles run at a time as there are threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sac_wsi.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sac_wsi.model.checkpoint.inference import InferenceSettings

T = TypeVar("T")
R = TypeVar("R")

VIEWS = ((0, False), (2, False), (1, True), (3, True), (1, False), (3, False), (0, True), (2, True))
"""Symmetries of the square as (quarter turns, mirrored first); the first ones differ most."""


@dataclass(frozen=True)
class Features:
    """Outputs of the networks for one tile.

    embedding  (1, width, cells, cells), None if only the prompter's maps are needed
    maps       (1, 3 or 5, tile, tile) probabilities and offsets, None without a prompter
    """

    embedding: Any  # a tensor: PyTorch is not imported here
    maps: NDArray[np.float32] | None


class Runner(Protocol):
    """A model that is ready to compute, on one engine."""

    @property
    def over_prompter(self) -> bool:
        """Whether the masks of the model correct those of its prompter."""

    def map(self, work: Callable[[Sequence[T]], list[R]], items: Sequence[T]) -> list[R]:
        """Apply ``work`` to batches of the items; return the results in order."""

    def features(self, tiles: Sequence[NDArray[np.uint8]], settings: InferenceSettings) -> list[Features]:
        """Compute the features of one batch of tiles (h, w, 3), each at most as large as the model's tile."""


def fill_tile(tile: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Return a tile (h, w, 3), mirrored to (side, side, 3).

    Raises:
        ConfigError: The tile is larger.
    """
    height, width = tile.shape[:2]
    if height > side_px or width > side_px:
        raise ConfigError(
            f"A tile is {height} x {width} pixels; this model takes {side_px}: pass --set "
            f"grid.tile_px={side_px}."
        )
    return np.pad(tile, ((0, side_px - height), (0, side_px - width), (0, 0)), mode="symmetric")


def direction_back(y: Any, x: Any, quarters: int, mirrored: bool) -> tuple[Any, Any]:
    """Return vectors on a view, numbers or arrays, as they point after the view was turned back."""
    x = -x if mirrored else x
    for _ in range(quarters):
        y, x = x, -y
    return y, x
