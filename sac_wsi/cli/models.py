"""`sac-wsi models`"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sac_wsi.weights.catalogue import ModelFile


@click.group("models")
def command() -> None:
    """See, fetch and check the files of weights.

    sac-tiny came along and is what `segment` uses. What is fetched is kept in $SAC_WSI_MODELS, or else in
    ~/.cache/sac-wsi/models.

    \b
    Example:
      sac-wsi models list
      sac-wsi models fetch sam_vit_h
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_models(as_json: bool) -> None:
    """List what can be fetched, and what is here.

    \b
    Example:
      sac-wsi models list
    """
    from sac_wsi.weights.catalogue import MODEL_FILES, models_folder, own_model_files, shipped_model_files

    folder = models_folder()
    known = [_state(model, folder / model.file) for model in MODEL_FILES]
    shipped = [_ours(path) for path in shipped_model_files()]
    own = [_ours(path) for path in own_model_files()]
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "shipped": shipped, "models": known, "own": own}))
        return
    _show(shipped, lambda _: "came along")
    click.echo(f"folder  {folder}")
    _show(known, _told)
    _show(own, lambda _: "present")


def _show(entries: Iterable[Mapping[str, object]], told: Callable[[Mapping[str, object]], str]) -> None:
    for entry in entries:
        forbids = ", non-commercial" if entry.get("non_commercial") else ""
        name, size, licence = entry["name"], entry["size"], entry["licence"]
        click.echo(f"{name:20} {size:>15,} bytes  {licence:12} {told(entry)}{forbids}")


def _ours(path: Path) -> dict[str, object]:
    from sac_wsi.weights.catalogue import terms_of

    terms = terms_of(path)
    return {
        "name": path.stem,
        "path": str(path),
        "size": path.stat().st_size,
        "licence": terms.licence,
        "non_commercial": terms.non_commercial,
    }


def _state(model: ModelFile, path: Path) -> dict[str, object]:
    """By its size only: hashing all of them would take half a minute."""
    found = path.stat().st_size if path.is_file() else None
    return {
        "name": model.name,
        "path": str(path),
        "size": model.size,
        "found_size": found,
        "present": found == model.size,
        "licence": model.licence,
        "url": model.url,
        "sha256": model.sha256,
    }


def _told(entry: Mapping[str, object]) -> str:
    if entry["present"]:
        return "present"
    if entry["found_size"] is None:
        return f"not here: sac-wsi models fetch {entry['name']}"
    return (
        f"not the file, has {entry['found_size']:,} bytes: sac-wsi models fetch {entry['name']} --overwrite"
    )


@command.command("fetch")
@click.argument("name")
@click.option("--from", "source", help="Address, folder or file to take it from, instead of its publisher.")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    help="Folder to put it in, instead of that of `models list`.",
)
@click.option("--overwrite", is_flag=True, help="Replace a file of that name that is another one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def fetch_model(name: str, source: str | None, folder: Path | None, overwrite: bool, as_json: bool) -> None:
    """Fetch the file NAME and check its SHA-256.

    Goes on where an interrupted call stopped. The only command that uses the network.

    \b
    Example:
      sac-wsi models fetch sam_vit_h
      sac-wsi models fetch sam_vit_h --from /mnt/downloads
    """
    from sac_wsi.cli.byte_progress import byte_reporter
    from sac_wsi.weights.catalogue import known_model
    from sac_wsi.weights.download import fetch

    model = known_model(name)
    target = (_default_folder() if folder is None else folder) / model.file
    with byte_reporter("fetch") as on_progress:
        fetch(
            model.url if source is None else source,
            target,
            model.sha256,
            model.size,
            on_progress=on_progress,
            overwrite=overwrite,
        )
    if as_json:
        click.echo(json.dumps(_state(model, target)))
    else:
        click.echo(f"{target}  {model.size:,} bytes, SHA-256 as published, {model.licence}")


def _default_folder() -> Path:
    from sac_wsi.files.atomic import make_folder
    from sac_wsi.weights.catalogue import models_folder

    folder = models_folder()
    make_folder(folder, "Pass --to FOLDER, or set SAC_WSI_MODELS to one.")
    return folder


@command.command("describe")
@click.argument("model")
@click.option("--encoder", help="Encoder that the weights are to be used with: vit_b, vit_l or vit_h.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def describe_model(model: str, encoder: str | None, as_json: bool) -> None:
    """Tell what MODEL is: a name, or a file of weights.

    \b
    Example:
      sac-wsi models describe sac --encoder vit_h
    """
    from sac_wsi.model.checkpoint.describe import describe

    found = describe(model, encoder)
    click.echo(json.dumps(found) if as_json else "\n".join(_lines(found)))


def _lines(entries: Mapping[str, object], indent: str = "") -> Iterator[str]:
    for key, value in entries.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}:"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{key}: {_as_text(value)}"


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_as_text, value)) or "none"
    return "unknown" if value is None else str(value)


@command.command("verify")
@click.argument("model", metavar="NAME|FILE")
def verify_model(model: str) -> None:
    """Check a file of weights.

    \b
    Example:
      sac-wsi models verify sac_vit_h.safetensors
    """
    from sac_wsi.model.checkpoint.file import verify
    from sac_wsi.weights.catalogue import find_model_file

    path = find_model_file(model) or Path(model)
    findings = verify(path)
    for finding in findings:
        click.echo(finding)
    if findings:
        raise click.exceptions.Exit(1)
    click.echo(f"{path}: all well")
