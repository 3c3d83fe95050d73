"""Images with their labels, by number. Whatever can do that can be learnt from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sac_wsi.train.data.sample import DataSet

Pair = tuple[NDArray[np.uint8], NDArray[np.int32]]
"""(h, w, 3) RGB and (h, w) labels, 0 for background."""

_KEPT_BYTES = 4 << 30


class Images(Protocol):
    """What a training run asks of its data."""

    def __len__(self) -> int:
        """How many."""

    def name(self, index: int) -> str:
        """What to call one of them."""

    def read(self, index: int) -> Pair:
        """One of them; DataError where it cannot be read."""

    def zoom(self, index: int) -> float:
        """Pixels of the model per pixel of this image."""


@dataclass(frozen=True)
class SyntheticImages:
    """Made on the spot: to try a recipe without any data, and to teach shapes."""

    count: int
    side_px: int
    mpp: float
    seed: int

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"synthetic {self.seed + index}"

    def read(self, index: int) -> Pair:
        from sac_wsi.masks import labels_from_nuclei
        from sac_wsi.testing import SyntheticSlide

        side = self.side_px
        slide = SyntheticSlide(seed=self.seed + index, shape_yx=(side, side), mpp=self.mpp)
        return slide.render(slide.box), labels_from_nuclei(slide.truth(slide.box), slide.box)

    def zoom(self, index: int) -> float:
        return 1.0


@dataclass(frozen=True)
class SetImages:
    """A set of images with the zoom of each."""

    data: DataSet
    zooms: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.data)

    def name(self, index: int) -> str:
        return self.data.samples[index].name

    def read(self, index: int) -> Pair:
        return self.data.read(index)

    def zoom(self, index: int) -> float:
        return self.zooms[index]


@dataclass(frozen=True)
class KeptImages:
    """Images that stay in memory once they were read, as far as there is room; for any number of threads."""

    images: Images
    most_bytes: int = _KEPT_BYTES
    _kept: dict[int, Pair] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        return self.images.name(index)

    def read(self, index: int) -> Pair:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        pair = self.images.read(index)
        # threads may each read one image too many: the bound need not be exact
        held = sum(rgb.nbytes + labels.nbytes for rgb, labels in list(self._kept.values()))
        if held + pair[0].nbytes + pair[1].nbytes <= self.most_bytes:
            self._kept[index] = pair
        return pair

    def zoom(self, index: int) -> float:
        return self.images.zoom(index)
