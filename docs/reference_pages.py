"""Write the reference pages from the code: settings, commands, Python names (see docs/hooks.py)."""

from __future__ import annotations

import inspect
import re
import types
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

import click

import sac_wsi
from sac_wsi import testing
from sac_wsi.cli import cli
from sac_wsi.engine.config import SegmentConfig
from sac_wsi.model.checkpoint.inference import InferenceSettings
from sac_wsi.train.config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPE_NAMES = {int: "whole number", float: "number", bool: "true or false", str: "text"}


def settings_page() -> str:
    """Return the page of all settings, from the typed configs and their docstrings."""
    return "\n".join(
        [
            "# Settings",
            "",
            "This page is made from the code at each build. A setting is given in a YAML file (`--config`,",
            "or the config of `train`) or as `--set name=value`, with the name as it stands here. A name",
            "that does not exist and a value that does not fit are refused before any work begins.",
            "",
            "## segment",
            "",
            *_settings(SegmentConfig, ""),
            "### sac.*",
            "",
            "They change what the checkpoint brings. The defaults here are those of a checkpoint that says",
            "nothing; `sac-wsi models describe FILE` prints the checkpoint's own.",
            "",
            *_settings(InferenceSettings, "sac."),
            "## train",
            "",
            *_settings(TrainConfig, ""),
        ]
    )


def setting_names() -> Iterator[str]:
    """Yield the full name of every single setting, such as ``grid.halo_um``."""
    for cls, prefix in ((SegmentConfig, ""), (InferenceSettings, "sac."), (TrainConfig, "")):
        yield from _leaf_names(cls, prefix)


def _leaf_names(cls: Any, prefix: str) -> Iterator[str]:
    hints = get_type_hints(cls)
    for each in fields(cls):
        if is_dataclass(hints[each.name]):
            yield from _leaf_names(hints[each.name], f"{prefix}{each.name}.")
        elif get_origin(hints[each.name]) is None or not _is_section(hints[each.name]):
            yield f"{prefix}{each.name}"


def _is_section(hint: Any) -> bool:
    return getattr(get_origin(hint), "__name__", "") == "Mapping"


def _settings(cls: Any, prefix: str) -> list[str]:
    """Return the table of a dataclass, followed by the tables of its sections."""
    hints, texts = get_type_hints(cls), field_texts(cls)
    rows, sections = [], []
    for each in fields(cls):
        name = f"{prefix}{each.name}"
        if is_dataclass(hints[each.name]):
            sections += [f"### {name}.*", "", *_settings(hints[each.name], f"{name}.")]
        elif not _is_section(hints[each.name]):
            kind, default = _type_name(hints[each.name]), _default(each)
            rows.append(f"| `{name}` | {kind} | {default} | {_cell(texts.get(each.name, ''))} |")
    if rows:
        rows = ["| setting | type | default | meaning |", "|---|---|---|---|", *rows, ""]
    return [_summary(cls), "", *rows, *sections]


def field_texts(cls: Any) -> dict[str, str]:
    """Return what the docstring of a dataclass says of each field.

    Both forms are read: a Google section ``Attributes:``, and lines that begin with the names of fields.
    """
    known = {each.name for each in fields(cls)}
    texts: dict[str, str] = {}
    current: list[str] = []
    for line in inspect.getdoc(cls).splitlines()[1:]:
        google = re.match(r"    (\w+)(?: \([^)]*\))?: (.*)", line)
        plain = re.match(r"((?:\w+ )*\w+)  +(.*)", line)
        if google and google[1] in known:
            current, text = [google[1]], google[2]
        elif plain and set(plain[1].split()) <= known:
            current, text = plain[1].split(), plain[2]
        elif line.startswith(" ") and current:
            text = line.strip()
        else:
            current = []
            continue
        for name in current:
            texts[name] = f"{texts.get(name, '')} {text}".strip()
    return texts


def _summary(cls: Any) -> str:
    return _cell(inspect.getdoc(cls).split("\n\n")[0])


def _type_name(hint: Any) -> str:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in args)
    if origin in (Union, types.UnionType):
        return " or ".join("nothing" if a is types.NoneType else _type_name(a) for a in args)
    if origin is tuple:
        if args[-1] is Ellipsis:
            return f"list of {_type_name(args[0])}s"
        return f"list of {len(args)} {_type_name(args[0])}s"
    return TYPE_NAMES.get(hint, str(hint))


def _default(each: Field[Any]) -> str:
    value = each.default if each.default_factory is MISSING else each.default_factory()
    if value is MISSING:
        return "needed"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return '`""`' if value == "" else f"`{value}`"


def _cell(text: str) -> str:
    return re.sub(r"``([^`]+)``", r"`\1`", " ".join(text.split())).replace("|", "\\|")


def commands_page() -> str:
    """Return the page of all commands with their options, from click."""
    lines = ["# Commands", "", "This page is made from the code at each build. `-h` prints the same.", ""]
    for path, command in all_commands():
        lines += [f"{'#' * len(path.split())} {path}", "", *_command(path, command)]
    return "\n".join(lines)


def all_commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command with the words that call it: ``sac-wsi models fetch``."""
    yield from _commands_of(cli, "sac-wsi", click.Context(cli, info_name="sac-wsi"))


def _commands_of(group: click.Group, words: str, ctx: click.Context) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        yield f"{words} {name}", command
        if isinstance(command, click.Group):
            yield from _commands_of(command, f"{words} {name}", click.Context(command, info_name=name))


def _command(path: str, command: click.Command) -> list[str]:
    ctx = click.Context(command, info_name=path)
    lines = ["```text", command.get_usage(ctx).removeprefix("Usage: "), "```", ""]
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b"):
            lines += ["```text", paragraph.removeprefix("\b\n"), "```", ""]
        else:
            lines += [_cell(paragraph), ""]
    rows = [
        param.get_help_record(ctx) for param in command.get_params(ctx) if isinstance(param, click.Option)
    ]
    rows = [row for row in rows if row and not row[0].startswith(("-h", "--help"))]
    if rows:
        lines += ["| option | meaning |", "|---|---|"]
        lines += [f"| `{_cell(names)}` | {_plain(text)} |" for names, text in rows]
        lines.append("")
    return lines


def _plain(text: str) -> str:
    """Escape what Markdown would take for markup in an option's help."""
    return re.sub(r"([*<>\[\]_])", r"\\\1", _cell(text))


def api_page() -> str:
    """Return the page of the Python names; mkdocstrings fills in their docstrings."""
    lines = ["# Python", "", "What `import sac_wsi` offers. Everything else may change in any release.", ""]
    for name in sac_wsi.__all__:
        lines += _api(f"sac_wsi.{name}", getattr(sac_wsi, name))
    lines += ["## For tests: sac_wsi.testing", "", inspect.getdoc(testing) or "", ""]
    for name in testing.__all__:
        lines += _api(f"sac_wsi.testing.{name}", getattr(testing, name))
    return "\n".join(lines)


def _api(name: str, thing: Any) -> list[str]:
    return [
        f"::: {thing.__module__}.{thing.__name__}",
        "    options:",
        "      show_root_heading: true",
        "      show_root_toc_entry: true",
        f"      heading: {name}",
        f"      toc_label: {name}",
        f"      heading_level: {1 + name.count('.')}",
        "",
    ]
