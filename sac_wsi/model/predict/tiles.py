"""Nuclei of tiles, by a model that is loaded: what slides, validation and evaluation share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sac_wsi.model.checkpoint.inference import MOST_PROMPTS, InferenceSettings
from sac_wsi.model.points.prompts import Points, select
from sac_wsi.model.predict.features import Features, Runner, features
from sac_wsi.model.predict.instance import instance_nuclei
from sac_wsi.model.predict.semantic import (
    basins_of,
    seeds_of,
    semantic_probability,
    split,
    with_persons,
    with_unseeded,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sac_wsi.geometry import Box
    from sac_wsi.nuclei.columns import Nuclei
    from sac_wsi.tiling.segmenter import RgbTile


@dataclass(frozen=True, eq=False)
class PersonPoints:
    """A person's points on a frame.

    yx        (N, 2) pixels of the frame
    positive  (N,) which say that there is a nucleus; the others say that there is none
    """

    yx: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 2), np.int32))
    positive: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    def on(self, read: Box) -> PersonPoints:
        """Those on one tile, in its pixels."""
        y, x = self.yx[:, 0], self.yx[:, 1]
        here = (y >= read.y0) & (y < read.y1) & (x >= read.x0) & (x < read.x1)
        return PersonPoints(self.yx[here] - np.array([read.y0, read.x0], np.int32), self.positive[here])


def tile_nuclei(
    runner: Runner,
    settings: InferenceSettings,
    mpp: float,
    person: PersonPoints,
    tiles: Sequence[RgbTile],
) -> list[Nuclei]:
    """Return the nuclei of each tile, in frame coordinates."""

    def of_batch(batch: Sequence[RgbTile]) -> list[Nuclei]:
        found = features(runner, [tile.rgb for tile in batch], settings)
        return [
            _nuclei(runner, settings, mpp, person.on(tile.read), each, tile)
            for each, tile in zip(found, batch, strict=True)
        ]

    return runner.map(of_batch, tiles)


def _nuclei(
    runner: Runner,
    settings: InferenceSettings,
    mpp: float,
    person: PersonPoints,
    found: Features,
    tile: RgbTile,
) -> Nuclei:
    corner, shape = (tile.read.y0, tile.read.x0), (tile.rgb.shape[0], tile.rgb.shape[1])
    maps = None if found.maps is None else found.maps[:, : shape[0], : shape[1]]
    seeds = with_persons(seeds_of(maps, settings), person.yx[person.positive], maps)
    if settings.mode == "prompter":
        assert maps is not None
        nuclei = split(maps[0], maps, seeds, corner, settings, mpp)
    elif settings.mode == "semantic":
        points = _semantic_points(settings, maps, person, corner)
        probability = semantic_probability(runner, found, points)[: shape[0], : shape[1]]
        nuclei = split(probability, maps, seeds, corner, settings, mpp)
    else:
        basins = None
        if runner.model.size.over_prompter:
            assert maps is not None
            basins = basins_of(maps[0], maps, seeds, settings, mpp)
            seeds = with_unseeded(seeds, basins)
        nuclei = instance_nuclei(runner, found, seeds[:MOST_PROMPTS], basins, tile, settings, mpp)
    refused = person.yx[~person.positive] + np.array(corner, np.int32)
    return nuclei.take(~_holds(nuclei, refused))


def _semantic_points(
    settings: InferenceSettings,
    maps: NDArray[np.float32] | None,
    person: PersonPoints,
    corner: tuple[int, int],
) -> Points:
    theirs = Points(np.ascontiguousarray(person.yx[:, ::-1], np.float32), person.positive)
    if maps is None:
        return theirs
    rng = np.random.default_rng([settings.points.seed, *corner])
    return select(maps[0], settings.points, rng).concat(theirs)


def _holds(nuclei: Nuclei, points_yx: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which nuclei have one of the points under their mask."""
    held = np.zeros(len(nuclei), np.bool_)
    box = nuclei.box
    for y, x in points_yx.tolist():
        for i in np.flatnonzero((box[:, 0] <= y) & (y < box[:, 2]) & (box[:, 1] <= x) & (x < box[:, 3])):
            held[i] |= nuclei.mask(int(i))[y - box[i, 0], x - box[i, 1]]
    return held
