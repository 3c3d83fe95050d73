"""Labelled images by index, as training and scoring read them."""

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
    """An image with its labels: rgb (h, w, 3), labels (h, w), 0 for background.

    zoom             pixels of the model per pixel of this image
    label_offset_yx  offset in pixels of the labels from the objects that they outline
    """

    rgb: Rgb
    labels: Labels
    zoom: float = 1.0
    label_offset_yx: tuple[float, float] = (0.0, 0.0)

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return self.rgb.nbytes + self.labels.nbytes


class Images(Protocol):
    """A sequence of labelled images."""

    def __len__(self) -> int:
        """Return the number of images."""

    def name(self, index: int) -> str:
        """Return the name of an image."""

    def read(self, index: int) -> LabelledImage:
        """Return an image; DataError if it cannot be read."""


@dataclass(frozen=True)
class SyntheticImages:
    """Synthetic images, to try a config without data and to train shapes."""

    count: int
    side_px: int
    mpp: float
    seed: int

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """Return the name of an image."""
        return f"synthetic {self.seed + index}"

    def read(self, index: int) -> LabelledImage:
        """Return an image with its labels."""
        from sac_wsi.nuclei.masks import labels_from_nuclei
        from sac_wsi.testing import SyntheticSlide

        side = self.side_px
        slide = SyntheticSlide(seed=self.seed + index, shape_yx=(side, side), mpp=self.mpp)
        labels = labels_from_nuclei(slide.truth(slide.box), slide.box)
        return LabelledImage(slide.render(slide.box), labels)


@dataclass(frozen=True)
class SetImages:
    """The images of a dataset; ``zoom`` returns the zoom of each."""

    data: DataSet
    zoom: Callable[[Sample, Rgb, Labels], float]

    def __len__(self) -> int:
        return len(self.data)

    def name(self, index: int) -> str:
        """Return the name of an image."""
        return self.data.samples[index].name

    def read(self, index: int) -> LabelledImage:
        """Return an image with its labels."""
        rgb, labels = self.data.read(index)
        labels = with_small_ids(labels)
        sample = self.data.samples[index]
        return LabelledImage(rgb, labels, self.zoom(sample, rgb, labels), sample.label_offset_yx)


def with_small_ids(labels: Labels) -> Labels:
    """Return ids in the same order, none larger than the number of pixels, so that tables by id stay small.

    >>> with_small_ids(np.array([[0, 7, 70_000]], np.int32)).tolist()
    [[0, 1, 2]]
    """
    if labels.max(initial=0) <= labels.size:
        return labels
    ids, rank = np.unique(labels, return_inverse=True)
    return (rank.reshape(labels.shape) + int(ids[0] != 0)).astype(np.int32)


@dataclass(frozen=True)
class KeptImages:
    """Images that stay in memory after the first read, up to ``most_bytes``. Many threads can read."""

    images: Images
    most_bytes: int = _KEPT_BYTES
    _kept: dict[int, LabelledImage] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        """Return the name of an image."""
        return self.images.name(index)

    def read(self, index: int) -> LabelledImage:
        """Return an image with its labels."""
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        image = self.images.read(index)
        # several threads can each add one image too many: the limit need not be exact
        if sum(other.nbytes for other in list(self._kept.values())) + image.nbytes <= self.most_bytes:
            self._kept[index] = image
        return image
