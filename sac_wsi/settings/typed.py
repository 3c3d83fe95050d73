"""Build frozen dataclasses from nested mappings; report unknown names and wrong types by their full name."""

from __future__ import annotations

import contextlib
import difflib
import reprlib
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from sac_wsi.errors import ConfigError

T = TypeVar("T")


def build(cls: type[T], settings: Mapping[str, Any], prefix: str = "") -> T:
    """Return a dataclass built from nested mappings.

    Args:
        cls: The dataclass; its fields may be dataclasses.
        settings: Values by field name; missing fields keep their defaults.
        prefix: Text before each field's name in messages, such as ``"grid."``.

    >>> from sac_wsi.geometry import Box
    >>> build(Box, {"y0": 0, "x0": 0, "y1": 2, "left": 2})
    Traceback (most recent call last):
    sac_wsi.errors.ConfigError: There is no setting 'left'. There are: y0, x0, y1, x1.
    """
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in hints:
            raise ConfigError(_unknown(f"{prefix}{key}", [f"{prefix}{name}" for name in hints]))
        values[key] = convert(value, hints[key], f"{prefix}{key}")
    return cls(**values)


def convert(value: Any, wanted: Any, name: str) -> Any:
    """Return ``value`` as the type ``wanted``; raise ConfigError, with ``name``, if it does not fit."""
    if is_dataclass(wanted):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{name} is {_shown(value)}; needed a section with {_names(wanted)}.")
        return build(wanted, value, f"{name}.")  # type: ignore[arg-type]
    origin = get_origin(wanted)
    if origin is tuple:
        return _tuple(value, get_args(wanted), name)
    if origin in (Union, types.UnionType):
        options = [option for option in get_args(wanted) if option is not types.NoneType]
        return None if value is None else convert(value, options[0], name)
    if origin is Literal:
        if not isinstance(value, str | int | float) or value not in get_args(wanted):
            raise ConfigError(_unknown_value(name, value, get_args(wanted)))
        return value
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{name} is {_shown(value)}; needed a section.")
        return dict(value)
    return _plain(value, wanted, name)


def _plain(value: Any, wanted: type, name: str) -> Any:
    if wanted is float:
        value = _number(value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise ConfigError(f"{name} is {_shown(value)}; needed {_described(wanted)}.")
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise ConfigError(f"{name} is {value!r}; needed a finite number.")
    return value


def _number(value: Any) -> Any:
    """Return a float for an integer, or for a text such as 1e-3, which YAML does not read as a number."""
    if (isinstance(value, int) and not isinstance(value, bool)) or isinstance(value, str):
        with contextlib.suppress(ValueError, OverflowError):
            return float(value)
    return value


def _tuple(value: Any, wanted: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{name} is {_shown(value)}; needed a list.")
    if wanted[-1] is Ellipsis:
        return tuple(convert(item, wanted[0], name) for item in value)
    if len(value) != len(wanted):
        raise ConfigError(f"{name} has {len(value)} values; needed {len(wanted)}.")
    return tuple(convert(item, kind, name) for item, kind in zip(value, wanted, strict=True))


def _described(wanted: type) -> str:
    known = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return known.get(wanted, str(wanted))


def _names(cls: Any) -> str:
    return ", ".join(f.name for f in fields(cls))


def _shown(value: Any) -> str:
    """Return a value as text for a message, shortened."""
    return reprlib.repr(value)


def _unknown(name: str, known: Sequence[str]) -> str:
    return f"There is no setting {_shown(name)}. {_hint(name, known)}"


def _unknown_value(name: str, value: Any, known: Sequence[Any]) -> str:
    return f"{name} is {_shown(value)}. {_hint(str(value), [str(each) for each in known])}"


def _hint(found: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(found, known, n=1)
    return f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}."
