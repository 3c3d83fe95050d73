"""A model on a set of labelled images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sac_wsi.errors import ConfigError, DataError
from sac_wsi.evaluate.judge import Find, judge
from sac_wsi.evaluate.metrics import Scores, summarise
from sac_wsi.files.atomic import atomic_file, make_folder
from sac_wsi.tiling.grid import GridSettings
from sac_wsi.tiling.segmenter import ModelSegmenter, RgbTile, Segmenter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from sac_wsi.datasets.images import Images
    from sac_wsi.model.predict.tiles import PersonPoints
    from sac_wsi.nuclei.columns import Nuclei


def evaluate_model(
    segmenter: Segmenter,
    images: Images,
    *,
    experts: int = 0,
    objects: bool = False,
    labels_to: Path | None = None,
    on_image: Callable[[str], None] = lambda name: None,
    on_bad: Callable[[DataError], None] | None = None,
) -> Scores:
    """Scores at the images' own resolution.

    ``experts``: points from the truth, in a person's stead. ``objects``: the GlaS measures as well.
    ``labels_to`` is a folder for the predicted label maps, which ``sac-wsi evaluate --pred`` reads.
    """
    tile_px, halo_um = tile_of(segmenter)
    scores = []
    for judged in judge(
        _finder(segmenter, experts),
        images,
        tile_px=tile_px,
        halo_px=math.ceil(halo_um / segmenter.mpp),
        experts=experts,
        objects=objects,
        on_bad=on_bad,
    ):
        scores.append(judged.scores)
        if labels_to is not None:
            _save(labels_to / f"{_file_name(judged.scores.name)}.npy", judged.found)
        on_image(judged.scores.name)
    if not scores:
        raise DataError("None of the images can be read: `sac-wsi data check` tells why.")
    return summarise(scores)


def tile_of(segmenter: Segmenter) -> tuple[int, float]:
    """Side in pixels and halo in micrometres of its tiles."""
    if isinstance(segmenter, ModelSegmenter):
        return segmenter.tile_px, segmenter.halo_um
    usual = GridSettings().resolved()
    assert usual.tile_px is not None
    assert usual.halo_um is not None
    return usual.tile_px, usual.halo_um


def _finder(segmenter: Segmenter, experts: int) -> Find:
    if isinstance(segmenter, ModelSegmenter):
        model = segmenter

        def find(person: PersonPoints, tiles: Sequence[RgbTile]) -> list[Nuclei]:
            return model.with_points(person.yx, person.positive).segment(tiles)

        return find
    if experts:
        raise ConfigError(f"{segmenter.name} takes no points: leave out --experts, or choose a checkpoint.")
    return lambda person, tiles: segmenter.segment(tiles)


def _file_name(name: str) -> str:
    """Of an image of a pack: its name has a folder's."""
    return name.replace("/", "_")


def _save(path: Path, labels: NDArray[np.integer]) -> None:
    make_folder(path.parent)
    with atomic_file(path) as file:
        np.save(file, labels, allow_pickle=False)
