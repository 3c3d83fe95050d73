"""Run a model on whole images with known nuclei and score what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sac_wsi.errors import DataError
from sac_wsi.evaluate.metrics import ImageScores, score_image
from sac_wsi.model.points.prompts import expert_points
from sac_wsi.model.predict.context import PersonPoints
from sac_wsi.nuclei.columns import Nuclei
from sac_wsi.tiling.segmenter import RgbTile
from sac_wsi.tiling.whole_image import Labels, label_image

if TYPE_CHECKING:
    from sac_wsi.datasets.images import Images

FindNuclei = Callable[[PersonPoints, Sequence[RgbTile]], list[Nuclei]]
"""From a person's points in an image, and its tiles, to the nuclei of each tile."""


@dataclass(frozen=True)
class ScoredImage:
    """One image with its true and its predicted nuclei, and their scores.

    rgb     (h, w, 3)
    truth   (h, w) true labels; 0 is background
    pred    (h, w) predicted labels; 0 is background
    """

    rgb: NDArray[np.uint8]
    truth: NDArray[np.integer]
    pred: NDArray[np.integer]
    scores: ImageScores

    @property
    def name(self) -> str:
        """The name of the image."""
        return self.scores.name


def score_images(
    find: FindNuclei,
    images: Images,
    *,
    tile_px: int,
    halo_px: int,
    experts: int = 0,
    objects: bool = False,
    on_bad: Callable[[DataError], None] | None = None,
) -> Iterator[ScoredImage]:
    """Score a model on each image at the image's own resolution.

    Args:
        find: Returns the nuclei of each tile.
        images: Images with true labels.
        tile_px: Side of a tile, in pixels of the model.
        halo_px: Overlap of neighbouring tiles on each side, in pixels of the model.
        experts: Number of points per image taken from the true labels. They replace a person's points.
        objects: Whether to compute the GlaS measures too.
        on_bad: Receives the error of an image that cannot be read; the image is then left out. Without it
            the error is raised.
    """
    for index in range(len(images)):
        try:
            image = images.read(index)
        except DataError as error:
            if on_bad is None:
                raise
            on_bad(error)
            continue
        rgb, truth = image.rgb, image.labels
        person = _points_from_truth(truth, experts, index, image.zoom)
        pred = label_image(partial(find, person), rgb, tile_px, halo_px, image.zoom)
        yield ScoredImage(
            rgb, truth, pred, score_image(truth, pred, name=images.name(index), objects=objects)
        )


def _points_from_truth(truth: Labels, count: int, seed: int, zoom: float) -> PersonPoints:
    """Return ``count`` points on true nuclei, in pixels of the model."""
    if not count:
        return PersonPoints()
    xy = expert_points(truth, count, np.random.default_rng(seed)).xy
    yx = np.floor((xy[:, ::-1] + 0.5) * zoom).astype(np.int32)
    return PersonPoints(yx, np.ones(len(yx), np.bool_))
