"""Nuclei of tiles by a loaded model: what slides, validation and evaluation share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sac_wsi.model.checkpoint.inference import MOST_PROMPTS
from sac_wsi.model.predict.context import TileContext
from sac_wsi.model.predict.watershed import (
    add_unseeded_basins,
    add_user_points,
    basins_of,
    has_votes,
    seeds_of,
    split_foreground,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sac_wsi.model.checkpoint.inference import PixelSettings
    from sac_wsi.model.predict.context import PersonPoints
    from sac_wsi.model.predict.features import Runner
    from sac_wsi.nuclei.columns import Nuclei
    from sac_wsi.tiling.segmenter import RgbTile


def tile_nuclei(
    runner: Runner, settings: PixelSettings, person: PersonPoints, tiles: Sequence[RgbTile]
) -> list[Nuclei]:
    """Return the nuclei of each tile, in frame coordinates."""

    def of_batch(batch: Sequence[RgbTile]) -> list[Nuclei]:
        found = runner.features([tile.rgb for tile in batch], settings)
        return [
            _nuclei(TileContext(runner, settings, tile, each, person.on(tile.read)))
            for each, tile in zip(found, batch, strict=True)
        ]

    return runner.map(of_batch, tiles)


def _nuclei(context: TileContext) -> Nuclei:
    """Return the nuclei of one tile without those under a negative point of the user."""
    settings, person, corner_yx, maps = context.settings, context.person, context.corner_yx, context.maps
    # a person's points are seeds, so that two of them can divide a nucleus; votes have no place for them
    by_votes = has_votes(maps) and not person.positive.any()
    if by_votes and settings.mode != "instance":
        seeds_yx = None
    else:
        seeds_yx = add_user_points(seeds_of(maps, settings), person.yx[person.positive], maps)
    if settings.mode == "prompter":
        assert maps is not None
        nuclei = split_foreground(maps[0], maps, seeds_yx, corner_yx, settings)
    elif settings.mode == "semantic":
        from sac_wsi.model.predict.semantic import semantic_probability  # imports torch

        nuclei = split_foreground(semantic_probability(context), maps, seeds_yx, corner_yx, settings)
    else:
        from sac_wsi.model.predict.instance import instance_nuclei  # imports torch

        assert seeds_yx is not None
        basins = None
        if context.runner.over_prompter:
            assert maps is not None
            basins = basins_of(maps[0], maps, None if by_votes else seeds_yx, settings)
            seeds_yx = add_unseeded_basins(seeds_yx, basins)
        nuclei = instance_nuclei(context, seeds_yx[:MOST_PROMPTS], basins)
    refused_yx = person.yx[~person.positive] + np.array(corner_yx, np.int32)
    return nuclei.take(~_holds(nuclei, refused_yx))


def _holds(nuclei: Nuclei, points_yx: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return (N,) whether one of the points lies in the mask of each nucleus."""
    held = np.zeros(len(nuclei), np.bool_)
    box = nuclei.box
    for y, x in points_yx.tolist():
        for i in np.flatnonzero((box[:, 0] <= y) & (y < box[:, 2]) & (box[:, 1] <= x) & (x < box[:, 3])):
            held[i] |= nuclei.mask(int(i))[y - box[i, 0], x - box[i, 1]]
    return held
