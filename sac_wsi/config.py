"""Typed, frozen settings; the only reader of YAML.

A config file holds what differs from the defaults. Every key is a field of the dataclasses named here, so
a typo is found before a slide is opened.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from sac_wsi.classical import ClassicalSettings
from sac_wsi.errors import ConfigError
from sac_wsi.grid import GridSettings
from sac_wsi.tissue import TissueSettings
from sac_wsi.typed import build

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


def read_settings(path: Path | None, overrides: Sequence[str]) -> dict[str, Any]:
    """A YAML file as nested mappings, with ``section.key=value`` overrides."""
    settings = _read_yaml(path) if path else {}
    for override in overrides:
        _override(settings, override)
    return settings


def settings_digest(config: Mapping[str, Any]) -> str:
    """The same for the same settings, in whatever order they stand."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read the config {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} is not plain YAML ({reason}). Nothing in it was run.") from error
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise ConfigError(f"{path} holds a {type(settings).__name__}; needed keys with values.")
    return settings


def _override(settings: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {override!r}: needed section.key=value, such as --set grid.halo_um=20.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: {text!r} is no value that YAML knows.") from error
    section = settings
    for key in keys[:-1]:
        section = section.setdefault(key, {})
        if not isinstance(section, dict):
            raise ConfigError(f"--set {override!r}: {key!r} is a value, not a section.")
    section[keys[-1]] = value
