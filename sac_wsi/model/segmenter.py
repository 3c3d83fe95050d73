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
from sac_wsi.model.semantic import seeds_of, semantic_probability, split
from sac_wsi.nuclei import Nuclei
from sac_wsi.prompts import Points, select
from sac_wsi.segmenter import RgbTile


@dataclass(frozen=True, eq=False)
class SacSegmenter:
    """A checkpoint with the settings it is used with. Pickled to workers, which load the weights once each.

    points_yx        (N, 2) float32, a person's points in frame pixels; positive (N,) says which prompt for
                     a nucleus, the others say that there is none
    """

    path: Path
    header: Header
    settings: InferenceSettings
    base: Path | None = None
    device: str = "auto"
    precision: str = "auto"
    points_yx: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 2), np.float32))
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
        settings = {
            "precision": self.precision,
            "base": self.header.card.base_sha256,
            **asdict(self.settings),
        }
        digest = hashlib.sha256(self.header.sha256.encode())
        digest.update(json.dumps(settings, sort_keys=True).encode())
        digest.update(self.points_yx.tobytes() + self.positive.tobytes())
        return digest.hexdigest()

    def with_points(self, points_yx: NDArray[np.float32], positive: NDArray[np.bool_]) -> SacSegmenter:
        return replace(self, points_yx=points_yx, positive=positive)

    def segment(self, tiles: Sequence[RgbTile]) -> list[Nuclei]:
        runner = _runner(self.path, self.header.sha256, self.base, self.device, self.precision)
        found = features(runner, [tile.rgb for tile in tiles])
        return [self._nuclei(runner, each, tile) for each, tile in zip(found, tiles, strict=True)]

    def _nuclei(self, runner: Runner, found: Features, tile: RgbTile) -> Nuclei:
        corner, shape = (tile.read.y0, tile.read.x0), (tile.rgb.shape[0], tile.rgb.shape[1])
        person = self._person(tile.read)
        maps = None if found.maps is None else _on_slide(found.maps, shape)
        if self.settings.way == "prompter":
            assert maps is not None
            nuclei = split(maps[0], seeds_of(maps, self.settings), corner, self.settings, self.mpp)
        elif self.settings.way == "semantic":
            nuclei = self._semantic(runner, found, maps, person, corner, shape)
        else:
            wanted = person.xy[person.positive][:, ::-1].round().astype(np.int32)
            centres = np.concatenate([wanted, seeds_of(maps, self.settings)])[:MOST_PROMPTS]
            nuclei = instance_nuclei(runner, found, centres, corner, shape, self.settings, self.mpp)
        return nuclei.take(~_holds(nuclei, self.points_yx[~self.positive]))

    def _semantic(
        self,
        runner: Runner,
        found: Features,
        maps: NDArray[np.float32] | None,
        person: Points,
        corner: tuple[int, int],
        shape: tuple[int, int],
    ) -> Nuclei:
        points, seeds = person, person.xy[person.positive][:, ::-1].round().astype(np.int32)
        if maps is not None:
            rng = np.random.default_rng([self.settings.points.seed, *corner])
            points = select(maps[0], self.settings.points, rng).concat(person)
            seeds = np.concatenate([seeds_of(maps, self.settings), seeds])
        probability = semantic_probability(runner, found, points)[: shape[0], : shape[1]]
        return split(probability, seeds, corner, self.settings, self.mpp)

    def _person(self, read: Box) -> Points:
        """The person's points on one tile, in its pixels."""
        y, x = self.points_yx[:, 0], self.points_yx[:, 1]
        here = (y >= read.y0) & (y < read.y1) & (x >= read.x0) & (x < read.x1)
        xy = self.points_yx[here][:, ::-1] - np.array([read.x0, read.y0], np.float32)
        return Points(np.ascontiguousarray(xy), self.positive[here])


@lru_cache(maxsize=1)
def _runner(path: Path, sha256: str, base: Path | None, device: str, precision: str) -> Runner:
    """One model a process: every block of every slide uses it."""
    model, header = load_model(path, base)
    if header.sha256 != sha256:
        raise InputChanged(f"{path} was replaced while it was in use. Run the same command again.")
    return make_runner(model, device, precision)


def _on_slide(maps: NDArray[np.float32], shape_yx: tuple[int, int]) -> NDArray[np.float32]:
    return maps[:, : shape_yx[0], : shape_yx[1]]


def _holds(nuclei: Nuclei, points_yx: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which nuclei have one of the points under their mask."""
    held = np.zeros(len(nuclei), np.bool_)
    for y, x in np.floor(points_yx + 0.5).astype(int).tolist():
        box = nuclei.box
        for i in np.flatnonzero((box[:, 0] <= y) & (y < box[:, 2]) & (box[:, 1] <= x) & (x < box[:, 3])):
            held[i] |= nuclei.mask(int(i))[y - box[i, 0], x - box[i, 1]]
    return held
