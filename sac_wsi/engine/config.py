"""Typed, frozen settings of `segment`.

A config file holds what differs from the defaults. Every key is a field of the dataclasses named here, so
a typo is found before a slide is opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sac_wsi.classical.segmenter import ClassicalSettings
from sac_wsi.errors import ConfigError
from sac_wsi.settings.read import read_settings
from sac_wsi.settings.typed import build
from sac_wsi.tiling.grid import GridSettings
from sac_wsi.tissue.find import TissueSettings

if TYPE_CHECKING:
    from pathlib import Path

CLASSICAL = "classical"


@dataclass(frozen=True)
class SegmentConfig:
    """Everything that decides what `segment` finds.

    model           a checkpoint: its name or its file; or "classical", which needs no weights
    sam_checkpoint  the SAM file under a checkpoint that holds only what was trained
    tissue          "auto", "none", or a GeoJSON file; "default" is auto for slides, none for plain images
    points          GeoJSON file of a person's points, prompts beside the automatic ones; "" for none
    device          what a checkpoint runs on; auto: CUDA where there is one
    precision       of a checkpoint's arithmetic; auto: bf16 where the device computes in it, else float32
    batch_tiles     tiles given to the model at a time
    sac             what to change of the checkpoint's own settings (``InferenceSettings``)
    """

    model: str = "sac-tiny"
    sam_checkpoint: str = ""
    tissue: str = "default"
    points: str = ""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bf16"] = "auto"
    batch_tiles: int = 4
    sac: Mapping[str, Any] = field(default_factory=dict)
    grid: GridSettings = field(default_factory=GridSettings)
    find_tissue: TissueSettings = field(default_factory=TissueSettings)
    classical: ClassicalSettings = field(default_factory=ClassicalSettings)

    def __post_init__(self) -> None:
        if self.batch_tiles < 1:
            raise ConfigError(f"batch_tiles is {self.batch_tiles}; needed 1 or more.")
        if self.model != CLASSICAL and self.classical != ClassicalSettings():
            raise ConfigError(
                f"classical.* is for the classical method; the model is {self.model}. Leave it out, or pass "
                "--model classical."
            )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> SegmentConfig:
    """The config of a file (or the defaults) with ``section.key=value`` overrides.

    >>> load_config(overrides=["grid.halo_um=20"]).grid.halo_um
    20.0
    """
    return build(SegmentConfig, read_settings(path, overrides))
