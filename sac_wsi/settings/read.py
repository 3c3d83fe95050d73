"""Read settings from a YAML file and ``section.key=value`` overrides; no other module reads YAML."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import yaml

from sac_wsi.errors import ConfigError
from sac_wsi.files.regular import read_regular

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_LARGEST_CONFIG = 1 << 20


def read_settings(path: Path | None, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the settings of a YAML file as nested mappings, changed by ``section.key=value`` overrides."""
    settings = _read_yaml(path) if path else {}
    for override in overrides:
        _override(settings, override)
    return settings


def settings_digest(config: Mapping[str, Any]) -> str:
    """Return a SHA-256 of settings that does not depend on their order."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


class _PlainLoader(yaml.SafeLoader):
    """Read plain values; without aliases, by which a few lines can stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not read", mark)
        return super().compose_node(parent, index)


def _parse(text: str) -> Any:
    """Return the value of a YAML text; raise ValueError, with a reason in one line, for any other text."""
    try:
        return yaml.load(text, _PlainLoader)  # noqa: S506 - it is a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ValueError(f"{error.problem}{place}") from None
    except Exception as error:  # noqa: BLE001 - PyYAML raises many kinds, for example for 0b_
        raise ValueError(f"a value that cannot be read: {type(error).__name__}") from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        settings = _parse(read_regular(path, _LARGEST_CONFIG, follow_links=True).decode())
    except OSError as error:
        raise ConfigError(f"Cannot read the config {path}: {error.strerror}.") from error
    except ValueError as error:  # UnicodeDecodeError too
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise ConfigError(f"{path} is not plain YAML ({reason}). Nothing in it was run.") from None
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
        value = _parse(text)
    except ValueError:
        raise ConfigError(f"--set {override!r}: {text!r} is not a valid YAML value.") from None
    section = settings
    for key in keys[:-1]:
        section = section.setdefault(key, {})
        if not isinstance(section, dict):
            raise ConfigError(f"--set {override!r}: {key!r} is a value, not a section.")
    section[keys[-1]] = value
