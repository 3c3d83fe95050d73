"""Typed, frozen settings of `segment`.

A config file holds only what differs from the defaults. Every key must be a field of the dataclasses named
here, so a typing error is found before a slide is opened.
"""

from __future__ import annotations

import re
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


_DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,3})?|mps")


@dataclass(frozen=True)
class SegmentConfig:
    """Everything that decides what `segment` finds.

    Attributes:
        model: Name or file of a checkpoint, or "classical", which needs no weights.
        sam_checkpoint: SAM's own file, for a checkpoint that holds only the trained parts.
        tissue: "auto", "none", or a GeoJSON file; "default" is "auto" for slides and "none" for plain images.
        points: GeoJSON file of points that a person set, used as prompts besides the automatic ones; "" for
            none.
        engine: What computes the checkpoint; "auto" is OpenVINO for a model without an encoder on a CPU,
            otherwise PyTorch.
        device: Device that the checkpoint runs on: "cpu", "cuda", "cuda:1" (the second GPU) or "mps"; "auto"
            is CUDA if there is a GPU.
        precision: Number format of the checkpoint's arithmetic; "auto" is bf16 if the device supports it,
            otherwise float32.
        batch_tiles: Number of tiles given to the model at a time.
        allow_fluorescence: Take dark slides too, which look like fluorescence scans.
        sac: Changes to the checkpoint's own settings (``InferenceSettings``).
        grid: How the slide is cut into tiles.
        find_tissue: How tissue is found.
        classical: Settings of the classical method.
    """

    model: str = "sac-tiny"
    sam_checkpoint: str = ""
    tissue: str = "default"
    points: str = ""
    engine: Literal["auto", "openvino", "torch"] = "auto"
    device: str = "auto"
    precision: Literal["auto", "float32", "bf16"] = "auto"
    batch_tiles: int = 4
    allow_fluorescence: bool = False
    sac: Mapping[str, Any] = field(default_factory=dict)
    grid: GridSettings = field(default_factory=GridSettings)
    find_tissue: TissueSettings = field(default_factory=TissueSettings)
    classical: ClassicalSettings = field(default_factory=ClassicalSettings)

    def __post_init__(self) -> None:
        if not _DEVICE.fullmatch(self.device):
            raise ConfigError(f"device is {self.device!r}: needed auto, cpu, cuda, cuda:N or mps.")
        if self.batch_tiles < 1:
            raise ConfigError(f"batch_tiles is {self.batch_tiles}; needed 1 or more.")
        if self.model != CLASSICAL and self.classical != ClassicalSettings():
            raise ConfigError(
                f"classical.* is for the classical method; the model is {self.model}. Leave it out, or pass "
                "--model classical."
            )

    def to_json(self) -> dict[str, Any]:
        """Return the settings as nested dictionaries."""
        return asdict(self)


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> SegmentConfig:
    """Return the config of a file, or the defaults, changed by overrides ``section.key=value``.

    >>> load_config(overrides=["grid.halo_um=20"]).grid.halo_um
    20.0
    """
    return build(SegmentConfig, read_settings(path, overrides))
