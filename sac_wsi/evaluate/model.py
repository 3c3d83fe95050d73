"""Score a model on a set of labelled images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sac_wsi.errors import ConfigError, DataError
from sac_wsi.evaluate.metrics import Scores, summarise
from sac_wsi.evaluate.score_images import FindNuclei, score_images
from sac_wsi.files.atomic import atomic_file
from sac_wsi.files.ownership import claim_folder, is_in_own_folder
from sac_wsi.tiling.grid import GridSettings
from sac_wsi.tiling.segmenter import ModelSegmenter, RgbTile, Segmenter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from sac_wsi.datasets.images import Images
    from sac_wsi.model.predict.context import PersonPoints
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
    """Return the scores of a model at the images' own resolution.

    Args:
        segmenter: The model.
        images: Images with true labels.
        experts: Number of points per image taken from the true labels. They replace a person's points.
        objects: Whether to compute the GlaS measures too.
        labels_to: Folder for the predicted label maps, which ``sac-wsi evaluate --pred`` reads.
        on_image: Receives the name of each image after it was scored.
        on_bad: Receives the error of an image that cannot be read; the image is then left out. Without it
            the error is raised.

    Raises:
        DataError: No image could be read.
    """
    tile_px, halo_um = tile_of(segmenter)
    scores = []
    for scored in score_images(
        find_function(segmenter, experts),
        images,
        tile_px=tile_px,
        halo_px=math.ceil(halo_um / segmenter.mpp),
        experts=experts,
        objects=objects,
        on_bad=on_bad,
    ):
        scores.append(scored.scores)
        if labels_to is not None:
            _save(labels_to / f"{_file_name(scored.scores.name)}.npy", scored.pred)
        on_image(scored.scores.name)
    if not scores:
        raise DataError("None of the images can be read: `sac-wsi data check` gives the reasons.")
    return summarise(scores)


def tile_of(segmenter: Segmenter) -> tuple[int, float]:
    """Return the side in pixels and the halo in micrometres of the segmenter's tiles."""
    if isinstance(segmenter, ModelSegmenter):
        return segmenter.tile_px, segmenter.halo_um
    default = GridSettings().resolved()
    assert default.tile_px is not None
    assert default.halo_um is not None
    return default.tile_px, default.halo_um


def find_function(segmenter: Segmenter, experts: int) -> FindNuclei:
    """Return the function that finds the nuclei of tiles, as ``score_images`` takes it."""
    if isinstance(segmenter, ModelSegmenter):
        model = segmenter

        def find(person: PersonPoints, tiles: Sequence[RgbTile]) -> list[Nuclei]:
            return model.with_points(person.yx, person.positive).segment(tiles)

        return find
    if experts:
        raise ConfigError(f"{segmenter.name} uses no points: leave out --experts, or choose a checkpoint.")
    return lambda person, tiles: segmenter.segment(tiles)


def _file_name(name: str) -> str:
    """Return a file name for an image. The names of a pack's images contain slashes."""
    return name.replace("/", "_")


def _save(path: Path, labels: NDArray[np.integer]) -> None:
    claim_folder(path.parent)
    with atomic_file(path, is_in_own_folder) as file:
        np.save(file, labels, allow_pickle=False)
