"""Any of the models as the engine wants it: RGB tiles in, nuclei in frame coordinates out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sac_wsi.errors import ConfigError, InputChanged
from sac_wsi.geometry import Box
from sac_wsi.model.checkpoint import Header, load_model
from sac_wsi.model.features import Features, Runner, features, make_runner
from sac_wsi.model.inference import MOST_PROMPTS, InferenceSettings
from sac_wsi.model.instance import instance_nuclei
from sac_wsi.model.semantic import seeds_of, semantic_probability, split, with_persons
from sac_wsi.nuclei import Nuclei
from sac_wsi.prompts import Points, select
from sac_wsi.segmenter import RgbTile


@dataclass(frozen=True, eq=False)
class SacSegmenter:
    """A checkpoint with the settings it is used with. Pickled to workers, which load the weights once each.

    device, precision  what ``auto`` came to is part of the fingerprint: bf16 finds other nuclei
    points_yx          (N, 2) a person's points, pixels of the frame; positive (N,) says which prompt for a
                       nucleus, the others say that there is none
    """

    path: Path
    header: Header
    settings: InferenceSettings
    base: Path | None = None
    device: str = "cpu"
    precision: str = "float32"
    points_yx: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 2), np.int32))
    positive: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    def __post_init__(self) -> None:
        size, way = self.header.card.size, self.settings.way
        if size.family == "unet" and way != "prompter":
            raise ConfigError(f"{self.name} is a U-Net alone: needed sac.way=prompter, found {way}.")
        if size.family == "sam" and way == "prompter":
            raise ConfigError(f"{self.name} has no prompter: pass --set sac.way=semantic or instance.")

    @property
    def name(self) -> str:
        return self.header.card.name

    @property
    def mpp(self) -> float:
        return self.header.card.mpp

    @property
    def mpp_range(self) -> tuple[float, float]:
        """Slides it was made for, µm per level-0 pixel."""
        return self.header.card.mpp_range

    @property
    def tile_px(self) -> int:
        return self.header.card.size.tile_px

    @property
    def halo_um(self) -> float:
        return self.header.card.halo_um

    @property
    def fingerprint(self) -> str:
        how = {"device": self.device, "precision": self.precision, **asdict(self.settings)}
        digest = hashlib.sha256(self.header.identity.encode())
        digest.update(json.dumps(how, sort_keys=True).encode())
        digest.update(self.points_yx.tobytes() + self.positive.tobytes())
        return digest.hexdigest()

    def with_points(self, points_yx: NDArray[np.int32], positive: NDArray[np.bool_]) -> SacSegmenter:
        return replace(self, points_yx=np.asarray(points_yx, np.int32), positive=positive)

    def load(self) -> None:
        """Read the weights now: whatever is wrong with them should show before any work is done."""
        self._runner()

    def segment(self, tiles: Sequence[RgbTile]) -> list[Nuclei]:
        runner = self._runner()

        def of_batch(batch: Sequence[RgbTile]) -> list[Nuclei]:
            found = features(runner, [tile.rgb for tile in batch])
            return [self._nuclei(runner, each, tile) for each, tile in zip(found, batch, strict=True)]

        return runner.map(of_batch, tiles)

    def _runner(self) -> Runner:
        return _runner(self.path, self.header.identity, self.base, self.device, self.precision)

    def _nuclei(self, runner: Runner, found: Features, tile: RgbTile) -> Nuclei:
        corner, shape = (tile.read.y0, tile.read.x0), (tile.rgb.shape[0], tile.rgb.shape[1])
        points_yx, positive = self._person(tile.read)
        maps = None if found.maps is None else _on_slide(found.maps, shape)
        seeds = with_persons(seeds_of(maps, self.settings), points_yx[positive], maps)
        if self.settings.way == "prompter":
            assert maps is not None
            nuclei = split(maps[0], seeds, corner, self.settings, self.mpp)
        elif self.settings.way == "semantic":
            person = Points(np.ascontiguousarray(points_yx[:, ::-1], np.float32), positive)
            probability = self._semantic(runner, found, maps, person, corner)[: shape[0], : shape[1]]
            nuclei = split(probability, seeds, corner, self.settings, self.mpp)
        else:
            some = seeds[:MOST_PROMPTS]
            nuclei = instance_nuclei(runner, found, some, corner, shape, self.settings, self.mpp)
        return nuclei.take(~_holds(nuclei, points_yx[~positive] + np.array(corner, np.int32)))

    def _semantic(
        self,
        runner: Runner,
        found: Features,
        maps: NDArray[np.float32] | None,
        person: Points,
        corner: tuple[int, int],
    ) -> NDArray[np.float32]:
        if maps is None:
            return semantic_probability(runner, found, person)
        rng = np.random.default_rng([self.settings.points.seed, *corner])
        points = select(maps[0], self.settings.points, rng).concat(person)
        return semantic_probability(runner, found, points)

    def _person(self, read: Box) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """The person's points on one tile, y, x in its pixels."""
        y, x = self.points_yx[:, 0], self.points_yx[:, 1]
        here = (y >= read.y0) & (y < read.y1) & (x >= read.x0) & (x < read.x1)
        return self.points_yx[here] - np.array([read.y0, read.x0], np.int32), self.positive[here]


@lru_cache(maxsize=1)
def _runner(path: Path, identity: str, base: Path | None, device: str, precision: str) -> Runner:
    """One model a process: every block of every slide uses it."""
    model, header = load_model(path, base)
    if header.identity != identity:
        raise InputChanged(f"{path} was replaced while it was in use. Run the same command again.")
    return make_runner(model, device, precision)


def _on_slide(maps: NDArray[np.float32], shape_yx: tuple[int, int]) -> NDArray[np.float32]:
    return maps[:, : shape_yx[0], : shape_yx[1]]


def _holds(nuclei: Nuclei, points_yx: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which nuclei have one of the points under their mask."""
    held = np.zeros(len(nuclei), np.bool_)
    box = nuclei.box
    for y, x in points_yx.tolist():
        for i in np.flatnonzero((box[:, 0] <= y) & (y < box[:, 2]) & (box[:, 1] <= x) & (x < box[:, 3])):
            held[i] |= nuclei.mask(int(i))[y - box[i, 0], x - box[i, 1]]
    return held
