"""Images with their labels, by number. Whatever can do that can be learnt from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pair = tuple[NDArray[np.uint8], NDArray[np.int32]]
"""(h, w, 3) RGB and (h, w) labels, 0 for background."""


class Images(Protocol):
    """What a training run asks of its data."""

    def __len__(self) -> int:
        """How many."""

    def read(self, index: int) -> Pair:
        """One of them."""


@dataclass(frozen=True)
class SyntheticImages:
    """Made on the spot: to try a recipe without any data, and to teach shapes."""

    count: int
    side_px: int
    mpp: float
    seed: int

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> Pair:
        from sac_wsi.masks import labels_from_nuclei
        from sac_wsi.testing import SyntheticSlide

        side = self.side_px
        slide = SyntheticSlide(seed=self.seed + index, shape_yx=(side, side), mpp=self.mpp)
        return slide.render(slide.box), labels_from_nuclei(slide.truth(slide.box), slide.box)
