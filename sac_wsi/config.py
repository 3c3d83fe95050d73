"""Typed, frozen settings; the only reader of YAML.

A config file holds what differs from the defaults. Every key is a field of the dataclasses named here, so
a typo is found before a slide is opened.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from sac_wsi.classical import ClassicalSettings
from sac_wsi.errors import ConfigError
from sac_wsi.grid import GridSettings
from sac_wsi.tissue import TissueSettings

T = TypeVar("T")


@dataclass(frozen=True)
class SegmentConfig:
    """Everything that decides what `segment` finds.

    model        which segmenter; "classical" needs no weights
    tissue       "auto", "none", or a GeoJSON file; "default" is auto for slides, none for plain images
    batch_tiles  tiles given to the model at a time
    """

    model: str = "classical"
    tissue: str = "default"
    batch_tiles: int = 4
    grid: GridSettings = field(default_factory=GridSettings)
    find_tissue: TissueSettings = field(default_factory=TissueSettings)
    classical: ClassicalSettings = field(default_factory=ClassicalSettings)

    def __post_init__(self) -> None:
        if self.batch_tiles < 1:
            raise ConfigError(f"batch_tiles is {self.batch_tiles}; needed 1 or more.")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> SegmentConfig:
    """The config of a file (or the defaults) with ``section.key=value`` overrides.

    >>> load_config(overrides=["grid.halo_um=20"]).grid.halo_um
    20.0
    """
    settings = _read_yaml(path) if path else {}
    for override in overrides:
        _override(settings, override)
    return build(SegmentConfig, settings)


def build(cls: type[T], settings: Mapping[str, Any], prefix: str = "") -> T:
    """A dataclass from nested mappings; every unknown key and every wrong type is an error by name."""
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in hints:
            raise ConfigError(_unknown(f"{prefix}{key}", [f"{prefix}{name}" for name in hints]))
        values[key] = _convert(value, hints[key], f"{prefix}{key}")
    return cls(**values)


def settings_digest(config: Mapping[str, Any]) -> str:
    """The same for the same settings, in whatever order they stand."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def _convert(value: Any, wanted: Any, name: str) -> Any:
    if is_dataclass(wanted):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{name} is {value!r}; needed a section with {_names(wanted)}.")
        return build(wanted, value, f"{name}.")  # type: ignore[arg-type]
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise ConfigError(f"{name} is {value!r}; needed {_described(wanted)}.")
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise ConfigError(f"{name} is {value!r}; needed a finite number.")
    return value


def _described(wanted: type) -> str:
    known = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return known.get(wanted, str(wanted))


def _names(cls: Any) -> str:
    return ", ".join(f.name for f in fields(cls))


def _unknown(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}."
    return f"There is no setting {name!r}. {hint}"


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
