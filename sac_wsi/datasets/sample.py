"""An image with its labels, read on demand, and a dataset of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sac_wsi.errors import DataError

Rgb = NDArray[np.uint8]
"""(h, w, 3)"""
Labels = NDArray[np.int32]
"""(h, w): 0 is background, every other number one object; numbers may have gaps."""

_MOST_NAMED = 5


@dataclass(frozen=True)
class Sample:
    """One image of a dataset. No pixels are kept: every ``read`` decodes the files again.

    name    unique in its dataset
    group   organ or patient, which must not be on both sides of a split; the name if it is not known
    split   the part it belongs to, the publisher's or a random one; "" if there is none
    mpp     microns per pixel; None if not known
    about   further facts: organ, patient, grade
    label_offset_yx  offset in pixels of the publisher's labels from the objects that they outline
    """

    name: str
    group: str
    read_rgb: Callable[[], Rgb] = field(repr=False)
    read_labels: Callable[[Rgb], Labels] = field(repr=False)
    """Receives the image, because polygons and masks become a map of its size."""
    split: str = ""
    mpp: float | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    label_offset_yx: tuple[float, float] = (0.0, 0.0)

    @property
    def is_test(self) -> bool:
        """Whether it is in a test part. GlaS has two, testA and testB."""
        return self.split.startswith("test")

    def read(self) -> tuple[Rgb, Labels]:
        """Return image and labels of the same size."""
        rgb = self.read_rgb()
        labels = self.read_labels(rgb)
        if rgb.shape[:2] != labels.shape:
            raise DataError(
                f"{self.name}: the image is {_size(rgb)}, its labels are {_size(labels)}. Needed the same "
                "size: check whether the annotation belongs to another image."
            )
        return rgb, labels


@dataclass(frozen=True)
class DataSet:
    """Images of one source and one licence, in the order of their names.

    ``missing`` lists images without annotation and annotations without image. A reader fills it only with
    ``allow_missing``; otherwise they are an error.
    """

    name: str
    samples: tuple[Sample, ...]
    source: str = ""
    licence: str = "unknown"
    missing: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, index: int) -> tuple[Rgb, Labels]:
        """Return image and labels of one sample."""
        return self.samples[index].read()

    def grouped_by(self, what: str) -> DataSet:
        """Return the dataset grouped by another fact of the images, such as "organ"; "" changes nothing."""
        if not what:
            return self
        if lacking := [sample.name for sample in self.samples if what not in sample.about]:
            raise DataError(
                f"{self.name} cannot be grouped by {what!r}: it is not known for {lacking[0]}. Known facts: "
                f"{', '.join(self.samples[0].about) or 'nothing'}."
            )
        return replace(self, samples=tuple(replace(s, group=s.about[what]) for s in self.samples))

    def where(self, wanted: Callable[[Sample], bool]) -> DataSet:
        """Return the wanted samples; an error if there are none."""
        kept = tuple(sample for sample in self.samples if wanted(sample))
        if not kept:
            raise DataError(f"{self.name}: none of the {len(self)} images is left. Choose others.")
        return replace(self, samples=kept)

    def part(self, split: str) -> DataSet:
        """Return the images of one split."""
        there = sorted({sample.split for sample in self.samples} - {""})
        if split not in there:
            known = ", ".join(there) if there else "none, split it first"
            raise DataError(f"{self.name} has no split {split!r}. There are: {known}.")
        return self.where(lambda sample: sample.split == split)

    def marked(self, split: str) -> DataSet:
        """Return the same images as a split of that name."""
        return replace(self, samples=tuple(replace(sample, split=split) for sample in self.samples))


def joined(name: str, sets: Iterable[DataSet]) -> DataSet:
    """Join datasets; names and groups get the prefix of their dataset."""
    parts = tuple(sets)
    samples = tuple(
        replace(sample, name=f"{part.name}/{sample.name}", group=f"{part.name}/{sample.group}")
        for part in parts
        for sample in part.samples
    )
    twice = [each for each, count in Counter(sample.name for sample in samples).items() if count > 1]
    if twice:
        raise DataError(f"{name} would hold {twice[0]} twice. Needed each image in one dataset only.")
    return DataSet(
        name,
        samples,
        "; ".join(dict.fromkeys(part.source for part in parts if part.source)),
        "; ".join(dict.fromkeys(part.licence for part in parts)),
        tuple(line for part in parts for line in part.missing),
    )


def data_set(name: str, samples: Iterable[Sample], source: str, licence: str, missing: list[str]) -> DataSet:
    """Return the dataset sorted by name; an error if it is empty."""
    ordered = tuple(sorted(samples, key=lambda sample: sample.name))
    if not ordered and not missing:
        raise DataError(f"{source} holds no images of {name}. Give the folder that holds them.")
    return DataSet(name, ordered, source, licence, tuple(missing))


def refuse_missing(missing: list[str], allow: bool) -> None:
    """Raise DataError with the first missing files, unless they are allowed."""
    if missing and not allow:
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        raise DataError(
            f"{'; '.join(missing[:_MOST_NAMED])}{more}. Add them, or remove the others; "
            "`sac-wsi data check` lists them all."
        )


def _size(array: NDArray[np.generic]) -> str:
    return f"{array.shape[1]} x {array.shape[0]} px"
