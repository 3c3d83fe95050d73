"""Segmenters for tests: one returns the known nuclei, one finds nothing."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from sac_wsi.nuclei.columns import Nuclei
from sac_wsi.nuclei.masks import nuclei_from_packed
from sac_wsi.testing.ellipse import pack_ellipses
from sac_wsi.testing.hashing import draw, place_key
from sac_wsi.testing.lattice import ellipses_in
from sac_wsi.testing.slide import SyntheticSlide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sac_wsi.geometry import Box
    from sac_wsi.tiling.segmenter import RgbTile

_SMALLEST_SHRUNK_PX = 2.5
"""A nucleus with a smaller semi-axis is not eroded: it could vanish or break into parts."""


@dataclass(frozen=True)
class OracleSegmenter:
    """A segmenter that returns the true nuclei of a synthetic slide, tile by tile.

    Use it to test tiling, stitching and exports without a model. Masks end at the edge of the tile. With
    ``jitter_px`` each tile gets slightly different nuclei, as from a real model: moved by up to ``jitter_px``
    along each axis, one pixel larger or smaller, with another score (0.5 to 1). These changes depend only on
    the seed, the corner of the tile and the nucleus; without jitter the scores do not depend on the tile.

    >>> from sac_wsi.tiling.segmenter import RgbTile
    >>> from sac_wsi.geometry import Box
    >>> from sac_wsi.testing import SyntheticSlide
    >>> slide = SyntheticSlide(seed=1, shape_yx=(600, 800))
    >>> read = Box(0, 0, 300, 300)
    >>> [found] = OracleSegmenter(slide).segment([RgbTile(slide.render(read), read)])
    >>> len(found) == len(slide.truth(read))
    True
    """

    slide: SyntheticSlide
    jitter_px: int = 0
    seed: int = 0

    @property
    def name(self) -> str:
        """The name in the provenance."""
        return "oracle"

    @property
    def mpp(self) -> float:
        """Micrometres per pixel: those of the slide."""
        return self.slide.mpp

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of all settings."""
        return sha256(repr(self).encode()).hexdigest()

    def segment(self, tiles: Sequence[RgbTile]) -> list[Nuclei]:
        """Return the nuclei in each tile's ``read`` box, in level-0 pixels. Its pixels are not used."""
        return [self._segment_one(tile.read) for tile in tiles]

    def _segment_one(self, read: Box) -> Nuclei:
        near = read.dilate(self.jitter_px + 1)
        ellipses = ellipses_in(self.slide.lattice, (near.y0, near.x0, near.y1, near.x1))
        # without jitter the result must not depend on the tiles
        corner_y, corner_x = (read.y0, read.x0) if self.jitter_px else (0, 0)
        tile_key = place_key(self.seed & (2**62 - 1), corner_y, corner_x)
        scores = _disturb(ellipses, np.uint64(tile_key), self.jitter_px)
        columns, rows = pack_ellipses(ellipses, (read.y0, read.x0, read.y1, read.x1))
        return nuclei_from_packed(columns, scores[rows])


@dataclass(frozen=True)
class NothingSegmenter:
    """A segmenter that finds no nuclei. Use it to measure the time and memory of everything else.

    >>> [len(found) for found in NothingSegmenter().segment([])]
    []
    """

    mpp: float = 0.25

    @property
    def name(self) -> str:
        """The name in the provenance."""
        return "nothing"

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of all settings."""
        return sha256(repr(self).encode()).hexdigest()

    def segment(self, tiles: Sequence[RgbTile]) -> list[Nuclei]:
        """Return no nuclei for each tile."""
        return [Nuclei.empty() for _ in tiles]


@njit(cache=True, nogil=True)
def _disturb(ellipses: Any, tile_key: Any, jitter_px: int) -> Any:
    """Move and grow the ellipses in place, as in this tile; return the scores."""
    scores = np.empty(len(ellipses), np.float32)
    for i in range(len(ellipses)):
        e = ellipses[i]
        key = tile_key ^ e.key
        scores[i] = 0.5 + 0.5 * draw(key, 0)
        if jitter_px == 0:
            continue
        dy = int(draw(key, 1) * (2 * jitter_px + 1)) - jitter_px
        dx = int(draw(key, 2) * (2 * jitter_px + 1)) - jitter_px
        grow = int(draw(key, 3) * 3) - 1
        if grow < 0 and e.minor < _SMALLEST_SHRUNK_PX:
            grow = 0
        e.cy, e.cx, e.cut_y, e.cut_x = e.cy + dy, e.cx + dx, e.cut_y + dy, e.cut_x + dx
        e.major, e.minor, e.grow = e.major + grow, e.minor + grow, grow
    return scores
