"""Arguments and options that several commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

Decorated = TypeVar("Decorated", bound="Callable[..., Any] | click.Command")

PATH = click.Path(path_type=Path)

slide_argument = click.argument("slide", type=PATH)
run_argument = click.argument("run", type=PATH)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
mpp_option = click.option(
    "--mpp", type=float, help="Micrometres per pixel at level 0, if the file does not state them."
)
skip_bad_option = click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be read.")


def outs_option(formats: str) -> Callable[[Decorated], Decorated]:
    """Return ``--out``, which may be given several times; ``formats`` lists the extensions."""
    return click.option(
        "-o",
        "--out",
        "outs",
        type=PATH,
        multiple=True,
        required=True,
        help=f"Output; may be given several times. The extension chooses the format: {formats}.",
    )


def overwrite_option(text: str) -> Callable[[Decorated], Decorated]:
    """Return ``--overwrite``."""
    return click.option("--overwrite", is_flag=True, help=text)


def set_option(text: str) -> Callable[[Decorated], Decorated]:
    """Return ``--set KEY=VALUE``, which may be given several times."""
    return click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help=f"{text} May be given several times."
    )


def sam_checkpoint_option(text: str, *, several: bool = False) -> Callable[[Decorated], Decorated]:
    """Return ``--sam-checkpoint FILE``; with ``several`` it may be given several times."""
    return click.option("--sam-checkpoint", metavar="FILE", multiple=several, help=text)


def as_overrides(**values: str | None) -> list[str]:
    """Return the values that were given on the command line as ``KEY=VALUE`` settings.

    >>> as_overrides(model="classical", points=None)
    ['model="classical"']
    """
    given = {key: value for key, value in values.items() if value is not None}
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in given.items()]
