"""Define what the engine needs of a model: it takes a batch of RGB tiles and returns the nuclei of each."""

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
    """Pixels of one tile.

    Attributes:
        rgb: (h, w, 3) pixels.
        read: The tile's place in the frame, in pixels at the model's resolution.
    """

    rgb: NDArray[np.uint8]
    read: Box


class Segmenter(Protocol):
    """Anything that finds nuclei.

    It is pickled and sent to workers, so it holds settings, not open files. The result for a tile depends on
    that tile alone, not on the others in the batch. Nuclei are in frame coordinates (the tile's corner is
    added), and each mask is one 4-connected component.
    """

    @property
    def name(self) -> str:
        """Short name for people and provenance."""

    @property
    def mpp(self) -> float:
        """Micrometres per pixel of the tiles that it takes."""

    @property
    def fingerprint(self) -> str:
        """Hash of weights and settings: equal fingerprints give equal results. Part of every UUID."""

    def segment(self, tiles: Sequence[RgbTile]) -> list[Nuclei]:
        """Return the nuclei of each tile, in frame coordinates."""


@runtime_checkable
class ModelSegmenter(Segmenter, Protocol):
    """A trained model: it states what it was trained for, and accepts a person's points."""

    @property
    def mpp_range(self) -> tuple[float, float]:
        """Lowest and highest resolution of slides that it was trained for, in µm per level-0 pixel."""

    @property
    def tile_px(self) -> int:
        """Side of the largest tile that it takes."""

    @property
    def halo_um(self) -> float:
        """Width of the halo that it needs, in micrometres."""

    @property
    def licence(self) -> str:
        """Licence of its weights."""

    @property
    def non_commercial(self) -> bool:
        """Whether that licence forbids commercial use."""

    def load(self) -> None:
        """Read the weights now, so that an error in them shows before any work is done."""

    def with_points(self, points_yx: NDArray[np.int32], positive: NDArray[np.bool_]) -> ModelSegmenter:
        """Return a copy that uses a person's points.

        Args:
            points_yx: (N, 2) y, x in pixels of the frame.
            positive: (N,) True where the point marks a nucleus, False where there is none.
        """


def terms_warning(segmenter: Segmenter) -> list[str]:
    """Return a warning, in a list, if the model's weights forbid commercial use; otherwise an empty list."""
    if isinstance(segmenter, ModelSegmenter) and segmenter.non_commercial:
        return [f"the weights of {segmenter.name} are for non-commercial use only ({segmenter.licence})"]
    return []
