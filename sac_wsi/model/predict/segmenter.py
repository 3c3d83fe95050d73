"""Segment with a checkpoint: RGB tiles in, nuclei in frame coordinates out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from sac_wsi.errors import ConfigError, InputChanged
from sac_wsi.model.checkpoint.header import Header, read_header
from sac_wsi.model.checkpoint.inference import InferenceSettings
from sac_wsi.model.predict.context import PersonPoints
from sac_wsi.model.predict.tiles import tile_nuclei

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sac_wsi.model.predict.features import Runner
    from sac_wsi.nuclei.columns import Nuclei
    from sac_wsi.tiling.segmenter import RgbTile

Engine = Literal["openvino", "torch"]


@dataclass(frozen=True, eq=False)
class SacSegmenter:
    """A checkpoint and the settings to use it with. It is pickled to workers; each loads the weights once.

    engine, device, precision  never ``auto``: they are part of the fingerprint, as bf16 finds other nuclei
    person             the user's points on the frame
    """

    path: Path
    header: Header
    settings: InferenceSettings
    base: Path | None = None
    engine: Engine = "torch"
    device: str = "cpu"
    precision: str = "float32"
    person: PersonPoints = field(default_factory=PersonPoints)

    def __post_init__(self) -> None:
        size, mode = self.header.card.size, self.settings.mode
        if size.family == "unet" and mode != "prompter":
            raise ConfigError(f"{self.name} is a prompter alone: needed sac.mode=prompter, found {mode}.")
        if size.family == "sam" and self.settings.tta > 1:
            raise ConfigError(
                f"{self.name} has no prompter, and --tta averages the maps of one: leave it out."
            )
        if size.family == "sam" and mode == "prompter":
            raise ConfigError(f"{self.name} has no prompter: pass --set sac.mode=semantic or instance.")

    @property
    def name(self) -> str:
        """Name for people and provenance."""
        return self.header.card.name

    @property
    def mpp(self) -> float:
        """Micrometres per pixel of its tiles."""
        return self.header.card.mpp

    @property
    def mpp_range(self) -> tuple[float, float]:
        """Resolutions of slides that it accepts, in micrometres per level-0 pixel."""
        return self.header.card.mpp_range

    @property
    def tile_px(self) -> int:
        """Side of its tiles."""
        return self.header.card.size.tile_px

    @property
    def halo_um(self) -> float:
        """Margin that its tiles need."""
        return self.header.card.halo_um

    @property
    def licence(self) -> str:
        """Licence of the weights."""
        return self.header.card.training.licence

    @property
    def non_commercial(self) -> bool:
        """Whether the licence forbids commercial use."""
        return self.header.card.training.non_commercial

    @property
    def fingerprint(self) -> str:
        """Hash of weights, settings, precision and points; part of every UUID."""
        how = {"device": self.device.partition(":")[0], "precision": self.precision, **self.settings.hashed()}
        if self.engine != "torch":
            how["engine"] = self.engine
        digest = hashlib.sha256(self.header.identity.encode())
        digest.update(json.dumps(how, sort_keys=True).encode())
        digest.update(self.person.yx.tobytes() + self.person.positive.tobytes())
        return digest.hexdigest()

    def with_points(self, points_yx: NDArray[np.int32], positive: NDArray[np.bool_]) -> SacSegmenter:
        """Return the same segmenter with the user's points, in frame pixels."""
        return replace(self, person=PersonPoints(np.asarray(points_yx, np.int32), positive))

    def load(self) -> None:
        """Load the weights now."""
        self._runner()

    def segment(self, tiles: Sequence[RgbTile]) -> list[Nuclei]:
        """Return the nuclei of each tile, in frame coordinates."""
        return tile_nuclei(self._runner(), self.settings.in_pixels(self.mpp), self.person, tiles)

    def _runner(self) -> Runner:
        how = (self.engine, self.device, self.precision)
        return _runner(self.path, self.header.identity, self.base, *how)


@lru_cache(maxsize=1)
def _runner(
    path: Path, identity: str, base: Path | None, engine: Engine, device: str, precision: str
) -> Runner:
    """Load the model once per process, for every block of every slide."""
    if engine == "openvino":
        from sac_wsi.model.predict.openvino_runner import make_openvino_runner

        header = read_header(path)
        _refuse_replaced(path, header, identity)
        return make_openvino_runner(path, header, precision)
    from sac_wsi.model.checkpoint.file import load_model  # imports torch
    from sac_wsi.model.predict.torch_runner import make_torch_runner

    model, header = load_model(path, base)
    _refuse_replaced(path, header, identity)
    return make_torch_runner(model, device, precision)


def _refuse_replaced(path: Path, header: Header, identity: str) -> None:
    if header.identity != identity:
        raise InputChanged(f"{path} was replaced while it was in use. Run the same command again.")
