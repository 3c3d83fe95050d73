"""A model on whole images with known nuclei: what it finds, and how good that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from sac_wsi.errors import DataError
from sac_wsi.evaluate.judged import JudgedImage
from sac_wsi.evaluate.metrics import score_image
from sac_wsi.model.points.prompts import expert_points
from sac_wsi.model.predict.tiles import PersonPoints
from sac_wsi.nuclei.columns import Nuclei
from sac_wsi.tiling.segmenter import RgbTile
from sac_wsi.tiling.whole_image import Labels, label_image

if TYPE_CHECKING:
    from sac_wsi.datasets.images import Images

Find = Callable[[PersonPoints, Sequence[RgbTile]], list[Nuclei]]


def judge(
    find: Find,
    images: Images,
    *,
    tile_px: int,
    halo_px: int,
    experts: int = 0,
    objects: bool = False,
    on_bad: Callable[[DataError], None] | None = None,
) -> Iterator[JudgedImage]:
    """Image by image, at the images' own resolution; ``experts`` points from the truth help."""
    for index in range(len(images)):
        try:
            image = images.read(index)
        except DataError as error:
            if on_bad is None:
                raise
            on_bad(error)
            continue
        rgb, truth = image.rgb, image.labels
        person = _experts(truth, experts, index, image.zoom)
        found = label_image(partial(find, person), rgb, tile_px, halo_px, image.zoom)
        yield JudgedImage(
            rgb, truth, found, score_image(truth, found, name=images.name(index), objects=objects)
        )


def _experts(truth: Labels, count: int, seed: int, zoom: float) -> PersonPoints:
    """Points in the pixels of the model."""
    if not count:
        return PersonPoints()
    xy = expert_points(truth, count, np.random.default_rng(seed)).xy
    yx = np.floor((xy[:, ::-1] + 0.5) * zoom).astype(np.int32)
    return PersonPoints(yx, np.ones(len(yx), np.bool_))
