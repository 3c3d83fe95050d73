"""Batches made ahead by threads. Batch n follows from the seed and n: a resumed run sees the same ones, and
so does a run on another number of devices, each of which makes its own share of every batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from sac_wsi.datasets.images import Images, LabelledImage
from sac_wsi.errors import DataError
from sac_wsi.train.augment import AugmentSettings, random_crop
from sac_wsi.train.objective import Lesson, make_lesson

_AHEAD = 3


@dataclass(frozen=True)
class LessonPlan:
    """How a batch is drawn.

    batch      crops on all devices together
    share      this device's rank and how many there are: it makes that part of each batch
    experts    points and single ``nuclei`` of a crop
    on_bad     is told of an image that cannot be read, and another takes its place; None: that is an error
    chances    of each image, to be the next one drawn; None: all the same
    """

    images: Images
    batch: int
    crop_px: int
    maps: int
    experts: int
    nuclei: int
    seed: int
    augment: AugmentSettings
    share: tuple[int, int] = (0, 1)
    on_bad: Callable[[DataError], None] | None = None
    chances: NDArray[np.float64] | None = None

    def lesson(self, number: int) -> Lesson:
        draw = np.random.default_rng([self.seed, number])
        if self.chances is None:
            chosen = draw.integers(len(self.images), size=self.batch)
        else:
            chosen = draw.choice(len(self.images), size=self.batch, p=self.chances)
        rank, devices = self.share
        crops = []
        for i in range(rank, self.batch, devices):
            rng = np.random.default_rng([self.seed, number, i])
            image = self._read(int(chosen[i]))
            rgb, cut = random_crop(
                image.rgb, image.labels, self.crop_px, self.augment, rng, image.zoom, image.labels_off_yx
            )
            # a mirrored margin shows some nuclei twice, and the crop's edge leaves two pieces of others
            crops.append((rgb, label(cut, connectivity=2).astype(np.int32)))
        rng = np.random.default_rng([self.seed, number, self.batch + rank])
        return make_lesson(crops, self.maps, self.experts, self.nuclei, rng)

    def pixels(self) -> NDArray[np.float64]:
        """Of each image, at the model's resolution; reads all of them."""
        images = (self._read(index) for index in range(len(self.images)))
        return np.array([image.labels.size * image.zoom**2 for image in images])

    def drawn_by_pixels(self) -> LessonPlan:
        """An image of twice as many pixels is drawn twice as often."""
        pixels = self.pixels()
        return replace(self, chances=pixels / pixels.sum())

    def _read(self, index: int) -> LabelledImage:
        """The image, or the next one that can be read."""
        for ahead in range(len(self.images)):
            try:
                return self.images.read((index + ahead) % len(self.images))
            except DataError as error:
                if self.on_bad is None:
                    raise DataError(f"{error} Or pass --skip-bad to go on without it.") from None
                self.on_bad(error)
        raise DataError("None of the images can be read: `sac-wsi data check` tells why.")


def lessons(plan: LessonPlan, first: int, end: int, threads: int) -> Iterator[Lesson]:
    """Lessons first..end in order, a few of them made ahead."""
    with ThreadPoolExecutor(threads, "lesson") as pool:
        coming: deque[Future[Lesson]] = deque()
        try:
            for number in range(first, end):
                coming.append(pool.submit(plan.lesson, number))
                if len(coming) > max(_AHEAD, 2 * threads):
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()
