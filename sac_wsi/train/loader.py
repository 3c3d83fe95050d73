"""Prepare training batches in threads, a few batches ahead of the training loop.

Batch n depends on the seed and on n alone. A resumed run therefore sees the same batches, and so does a run
on another number of devices, each of which makes its own share of every batch.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from sac_wsi.datasets.images import Images, LabelledImage
from sac_wsi.errors import ConfigError, DataError
from sac_wsi.train.augment import AugmentSettings, random_crop
from sac_wsi.train.objective import TrainingBatch, make_training_batch

_AHEAD = 3


@dataclass(frozen=True)
class BatchSampler:
    """Draw images at random and cut a batch of crops from them.

    Attributes:
        images: The images to draw from.
        batch_size: Crops of one batch, on all devices together.
        crop_px: Side of a crop.
        maps: Number of target maps of the prompter, 1, 3 or 5.
        experts: Expert points of one crop.
        nuclei: Single nuclei of one crop.
        seed: Seed of all random numbers.
        augment: How the crops are augmented.
        share: Rank of this device and the number of devices; this device makes its share of each batch.
        on_bad: Called with the error of an image that cannot be read; the next image takes its place. None:
            an image that cannot be read is an error.
        sampling_weights: Probability of each image to be drawn; None: all are equally probable.
    """

    images: Images
    batch_size: int
    crop_px: int
    maps: int
    experts: int
    nuclei: int
    seed: int
    augment: AugmentSettings
    share: tuple[int, int] = (0, 1)
    on_bad: Callable[[DataError], None] | None = None
    sampling_weights: NDArray[np.float64] | None = None

    def make_batch(self, number: int) -> TrainingBatch:
        """Return this device's share of the batch of that number."""
        draw = np.random.default_rng([self.seed, number])
        if self.sampling_weights is None:
            chosen = draw.integers(len(self.images), size=self.batch_size)
        else:
            chosen = draw.choice(len(self.images), size=self.batch_size, p=self.sampling_weights)
        rank, devices = self.share
        crops = []
        for i in range(rank, self.batch_size, devices):
            rng = np.random.default_rng([self.seed, number, i])
            image = self._read(int(chosen[i]))
            rgb, cut = random_crop(
                image.rgb, image.labels, self.crop_px, self.augment, rng, image.zoom, image.label_offset_yx
            )
            # one label per connected piece: mirrored margins repeat nuclei, and crop edges can cut one in two
            crops.append((rgb, label(cut, connectivity=2).astype(np.int32)))
        rng = np.random.default_rng([self.seed, number, self.batch_size + rank])
        return make_training_batch(crops, self.maps, self.experts, self.nuclei, rng)

    def pixels(self) -> NDArray[np.float64]:
        """Return the number of pixels of each image at the model's resolution; this reads all images."""
        images = (self._read(index) for index in range(len(self.images)))
        return np.array([image.labels.size * image.zoom**2 for image in images])

    def weighted_by_set(self, shares: Mapping[str, float]) -> BatchSampler:
        """Return a sampler that takes these parts of the crops from the data sets of a pack.

        Args:
            shares: Part of each data set by its name; they are divided by their sum.

        Raises:
            ConfigError: A data set has no share, or a share has no data set.
        """
        names = [self.images.name(index).split("/")[0] for index in range(len(self.images))]
        count = Counter(names)
        if set(shares) != set(count):
            raise ConfigError(
                f"data.shares names {', '.join(shares)}; the training images are of {', '.join(count)}: "
                "needed one share for each of these."
            )
        weights = np.array([shares[name] / count[name] for name in names])
        return replace(self, sampling_weights=weights / weights.sum())

    def weighted_by_pixels(self) -> BatchSampler:
        """Return a sampler that draws an image of twice as many pixels twice as often."""
        pixels = self.pixels()
        return replace(self, sampling_weights=pixels / pixels.sum())

    def _read(self, index: int) -> LabelledImage:
        """Return the image, or the next one that can be read."""
        for ahead in range(len(self.images)):
            try:
                return self.images.read((index + ahead) % len(self.images))
            except DataError as error:
                if self.on_bad is None:
                    raise DataError(f"{error} Or pass --skip-bad to go on without it.") from None
                self.on_bad(error)
        raise DataError("None of the images can be read: `sac-wsi data check` names the reasons.")


def load_batches(sampler: BatchSampler, first: int, end: int, threads: int) -> Iterator[TrainingBatch]:
    """Yield the batches ``first`` to ``end`` - 1 in order, and prepare the next ones in threads."""
    with ThreadPoolExecutor(threads, "batch") as pool:
        pending: deque[Future[TrainingBatch]] = deque()
        try:
            for number in range(first, end):
                pending.append(pool.submit(sampler.make_batch, number))
                if len(pending) > max(_AHEAD, 2 * threads):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
