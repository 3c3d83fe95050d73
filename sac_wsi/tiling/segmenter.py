"""What a model is to the engine: a batch of RGB tiles in, the nuclei of each tile out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sac_wsi.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sac_wsi.nuclei.columns import Nuclei


@dataclass(frozen=True, slots=True)
class RgbTile:
    """Pixels of one tile. ``read`` is its place in the frame (pixels at the model's resolution)."""

    rgb: NDArray[np.uint8]
    read: Box


class Segmenter(Protocol):
    """Anything that finds nuclei. It is pickled to workers, so it holds settings, not handles.

    The answer for a tile depends on that tile alone (not on its companions in the batch), nuclei are
    in frame coordinates (the tile's corner added), each mask is one 4-connected component.
    """

    @property
    def name(self) -> str:
        """Short name for people and provenance."""

    @property
    def mpp(self) -> float:
        """Micrometres per pixel that the tiles should have."""

    @property
    def fingerprint(self) -> str:
        """Hash of weights and settings: same fingerprint, same answer. Part of every nucleus's UUID."""

    def segment(self, tiles: Sequence[RgbTile]) -> list[Nuclei]:
        """The nuclei of each tile, in frame coordinates."""


@runtime_checkable
class ModelSegmenter(Segmenter, Protocol):
    """A trained model: it knows what it was made for, and listens to a person."""

    @property
    def mpp_range(self) -> tuple[float, float]:
        """Slides it was made for, µm per level-0 pixel."""

    @property
    def tile_px(self) -> int:
        """Largest tile it takes."""

    @property
    def halo_um(self) -> float:
        """Margin that a tile needs."""

    @property
    def licence(self) -> str:
        """Of its weights."""

    @property
    def non_commercial(self) -> bool:
        """Whether that licence forbids commercial use."""

    def load(self) -> None:
        """Read the weights now: whatever is wrong with them should show before any work is done."""

    def with_points(self, points_yx: NDArray[np.int32], positive: NDArray[np.bool_]) -> ModelSegmenter:
        """Itself with a person's points, pixels of the frame."""


def terms_warning(segmenter: Segmenter) -> list[str]:
    """What has to be said each time weights are used that are not for every use."""
    if isinstance(segmenter, ModelSegmenter) and segmenter.non_commercial:
        return [f"the weights of {segmenter.name} are for non-commercial use only ({segmenter.licence})"]
    return []
