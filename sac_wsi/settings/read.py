"""Read settings from a YAML file and ``section.key=value`` overrides; no other module reads YAML."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import yaml

from sac_wsi.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def read_settings(path: Path | None, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the settings of a YAML file as nested mappings, changed by ``section.key=value`` overrides."""
    settings = _read_yaml(path) if path else {}
    for override in overrides:
        _override(settings, override)
    return settings


def settings_digest(config: Mapping[str, Any]) -> str:
    """Return a SHA-256 of settings that does not depend on their order."""
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
        raise ConfigError(f"{path} contains a {type(settings).__name__}; needed keys with values.")
    return settings


def _override(settings: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {override!r}: needed section.key=value, such as --set grid.halo_um=20.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: {text!r} is not a valid YAML value.") from error
    section = settings
    for key in keys[:-1]:
        section = section.setdefault(key, {})
        if not isinstance(section, dict):
            raise ConfigError(f"--set {override!r}: {key!r} is a value, not a section.")
    section[keys[-1]] = value
