"""Batches made ahead by threads. Batch n follows from the seed and n: a resumed run sees the same ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from sac_wsi.errors import SacWsiError
from sac_wsi.train.augment import AugmentSettings, random_crop
from sac_wsi.train.images import Images, Pair
from sac_wsi.train.objective import Lesson, make_lesson

_AHEAD = 3


@dataclass(frozen=True)
class LessonPlan:
    """How a batch is drawn."""

    images: Images
    batch: int
    tile_px: int
    maps: int
    points: int
    seed: int
    augment: AugmentSettings

    def lesson(self, number: int) -> Lesson:
        rng = np.random.default_rng([self.seed, number])
        crops = [self._crop(int(i), rng) for i in rng.integers(len(self.images), size=self.batch)]
        return make_lesson(crops, self.maps, self.points, rng)

    def _crop(self, index: int, rng: np.random.Generator) -> Pair:
        rgb, labels = self.images.read(index)
        if rgb.shape[:2] != labels.shape:
            raise SacWsiError(
                f"Image {index} has {rgb.shape[:2]} pixels and {labels.shape} labels: needed the same."
            )
        return random_crop(rgb, labels, self.tile_px, self.augment, rng)


def lessons(plan: LessonPlan, first: int, end: int, threads: int) -> Iterator[Lesson]:
    """Lessons first..end in order, a few of them made ahead."""
    with ThreadPoolExecutor(threads, "lesson") as pool:
        coming: deque[Future[Lesson]] = deque()
        try:
            for number in range(first, end):
                coming.append(pool.submit(plan.lesson, number))
                if len(coming) > _AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()
