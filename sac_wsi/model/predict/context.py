"""What turns one tile into nuclei: the model, its settings, the tile, and the user's points on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sac_wsi.model.checkpoint.inference import PixelSettings
from sac_wsi.model.predict.features import Features, Runner
from sac_wsi.tiling.segmenter import RgbTile

if TYPE_CHECKING:
    from sac_wsi.geometry import Box


@dataclass(frozen=True, eq=False)
class PersonPoints:
    """The user's points on a frame.

    yx        (N, 2) pixels of the frame
    positive  (N,) True: there is a nucleus at the point; False: there is none
    """

    yx: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 2), np.int32))
    positive: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    def on(self, read: Box) -> PersonPoints:
        """Return the points on one tile, in pixels of the tile."""
        y, x = self.yx[:, 0], self.yx[:, 1]
        here = (y >= read.y0) & (y < read.y1) & (x >= read.x0) & (x < read.x1)
        return PersonPoints(self.yx[here] - np.array([read.y0, read.x0], np.int32), self.positive[here])


@dataclass(frozen=True, eq=False)
class TileContext:
    """One tile with everything that decides its nuclei.

    runner    the model on its engine
    settings  how maps, points and masks become nuclei
    tile      pixels of the tile and its place in the frame
    features  outputs of the networks for the tile, at the model's tile size
    person    the user's points, in pixels of the tile
    """

    runner: Runner
    settings: PixelSettings
    tile: RgbTile
    features: Features
    person: PersonPoints

    @property
    def corner_yx(self) -> tuple[int, int]:
        """First row and column of the tile in the frame."""
        return self.tile.read.y0, self.tile.read.x0

    @property
    def shape_yx(self) -> tuple[int, int]:
        """Height and width of the tile; at the edge of a slide it is smaller than the model's tile."""
        return self.tile.rgb.shape[0], self.tile.rgb.shape[1]

    @property
    def maps(self) -> NDArray[np.float32] | None:
        """(M, h, w) probabilities of the prompter on the tile; None without a prompter."""
        maps, (height, width) = self.features.maps, self.shape_yx
        return None if maps is None else maps[:, :height, :width]
