"""Images with their labels, by number. Whatever can do that can be learnt from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sac_wsi.datasets.sample import DataSet, Sample

Rgb = NDArray[np.uint8]
Labels = NDArray[np.int32]

_KEPT_BYTES = 4 << 30


@dataclass(frozen=True)
class LabelledImage:
    """rgb (h, w, 3), labels (h, w), 0 for background.

    zoom           the model's pixels per pixel of this image
    labels_off_yx  how many of its pixels the labels lie beside what they outline
    """

    rgb: Rgb
    labels: Labels
    zoom: float = 1.0
    labels_off_yx: tuple[float, float] = (0.0, 0.0)

    @property
    def nbytes(self) -> int:
        return self.rgb.nbytes + self.labels.nbytes


class Images(Protocol):
    """What a training run asks of its data."""

    def __len__(self) -> int:
        """How many."""

    def name(self, index: int) -> str:
        """What to call one of them."""

    def read(self, index: int) -> LabelledImage:
        """One of them; DataError where it cannot be read."""


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

    def read(self, index: int) -> LabelledImage:
        from sac_wsi.nuclei.masks import labels_from_nuclei
        from sac_wsi.testing import SyntheticSlide

        side = self.side_px
        slide = SyntheticSlide(seed=self.seed + index, shape_yx=(side, side), mpp=self.mpp)
        labels = labels_from_nuclei(slide.truth(slide.box), slide.box)
        return LabelledImage(slide.render(slide.box), labels)


@dataclass(frozen=True)
class SetImages:
    """A set of images, each with the zoom that a rule gives it."""

    data: DataSet
    zoom: Callable[[Sample, Rgb, Labels], float]

    def __len__(self) -> int:
        return len(self.data)

    def name(self, index: int) -> str:
        return self.data.samples[index].name

    def read(self, index: int) -> LabelledImage:
        rgb, labels = self.data.read(index)
        labels = with_small_ids(labels)
        sample = self.data.samples[index]
        return LabelledImage(rgb, labels, self.zoom(sample, rgb, labels), sample.labels_off_yx)


def with_small_ids(labels: Labels) -> Labels:
    """Ids in the same order, no higher than there are pixels: tables by id stay as small as the image.

    >>> with_small_ids(np.array([[0, 7, 70_000]], np.int32)).tolist()
    [[0, 1, 2]]
    """
    if labels.max(initial=0) <= labels.size:
        return labels
    ids, rank = np.unique(labels, return_inverse=True)
    return (rank.reshape(labels.shape) + int(ids[0] != 0)).astype(np.int32)


@dataclass(frozen=True)
class KeptImages:
    """Images that stay in memory once they were read, as far as there is room; for any number of threads."""

    images: Images
    most_bytes: int = _KEPT_BYTES
    _kept: dict[int, LabelledImage] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        return self.images.name(index)

    def read(self, index: int) -> LabelledImage:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        image = self.images.read(index)
        # threads may each read one image too many: the bound need not be exact
        if sum(other.nbytes for other in list(self._kept.values())) + image.nbytes <= self.most_bytes:
            self._kept[index] = image
        return image
