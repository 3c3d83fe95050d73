"""The commands `sac-wsi models`."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sac_wsi.cli.describe import download_state, model_file_line, nested_lines
from sac_wsi.cli.options import PATH, json_option, overwrite_option
from sac_wsi.cli.progress import byte_progress

if TYPE_CHECKING:
    from sac_wsi.weights.catalogue import ModelFile


@click.group("models")
def command() -> None:
    """List, download and check files of weights.

    sac-tiny is installed with the program; `segment` uses it by default. Downloaded files are kept in
    $SAC_WSI_MODELS, or else in ~/.cache/sac-wsi/models.

    \b
    Example:
      sac-wsi models list
      sac-wsi models fetch sam_vit_h
    """


@command.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """List the models that are installed, downloaded, or can be downloaded.

    \b
    Example:
      sac-wsi models list
    """
    from sac_wsi.weights.catalogue import MODEL_FILES, models_folder, own_model_files, shipped_model_files

    folder = models_folder()
    known = [_published(model, folder / model.file) for model in MODEL_FILES]
    shipped = [_local(path) for path in shipped_model_files()]
    own = [_local(path) for path in own_model_files()]
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "shipped": shipped, "models": known, "own": own}))
        return
    for entry in shipped:
        click.echo(model_file_line(entry, "installed"))
    click.echo(f"folder  {folder}")
    for entry in known:
        click.echo(model_file_line(entry, download_state(entry)))
    for entry in own:
        click.echo(model_file_line(entry, "present"))


def _local(path: Path) -> dict[str, object]:
    from sac_wsi.weights.catalogue import terms_of

    terms = terms_of(path)
    return {
        "name": path.stem,
        "path": str(path),
        "size": path.stat().st_size,
        "licence": terms.licence,
        "non_commercial": terms.non_commercial,
    }


def _published(model: ModelFile, path: Path) -> dict[str, object]:
    """Return a published file and whether it is present, by its size: hashing all would take 30 s."""
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


@command.command("fetch")
@click.argument("name")
@click.option("--from", "source", help="URL, folder or file to take it from instead of its publisher.")
@click.option("--to", "folder", type=PATH, help="Folder to write it to instead of the one in `models list`.")
@overwrite_option("Replace a file of the same name with different content.")
@json_option
def fetch_model(name: str, source: str | None, folder: Path | None, overwrite: bool, as_json: bool) -> None:
    """Download the file NAME and check its SHA-256.

    If the download is interrupted, run it again: it continues. No other command uses the network.

    \b
    Example:
      sac-wsi models fetch sam_vit_h
      sac-wsi models fetch sam_vit_h --from /mnt/downloads
    """
    from sac_wsi.weights.catalogue import known_model
    from sac_wsi.weights.download import fetch

    model = known_model(name)
    target = (_default_folder() if folder is None else folder) / model.file
    with byte_progress("fetch") as on_progress:
        fetch(
            model.url if source is None else source,
            target,
            model.sha256,
            model.size,
            on_progress=on_progress,
            overwrite=overwrite,
        )
    if as_json:
        click.echo(json.dumps(_published(model, target)))
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
@click.option("--encoder", help="Encoder to use the weights with: vit_b, vit_l or vit_h.")
@json_option
def describe_model(model: str, encoder: str | None, as_json: bool) -> None:
    """Show the parts, the training data and the licence of MODEL: a name, or a file of weights.

    \b
    Example:
      sac-wsi models describe sac --encoder vit_h
    """
    from sac_wsi.model.checkpoint.describe import describe

    found = describe(model, encoder)
    click.echo(json.dumps(found) if as_json else "\n".join(nested_lines(found)))


@command.command("verify")
@click.argument("model", metavar="NAME|FILE")
def verify_model(model: str) -> None:
    """Check a file of weights.

    \b
    Example:
      sac-wsi models verify sac_vit_h.safetensors
    """
    from sac_wsi.model.checkpoint.header import is_sam_file, verify_arrays
    from sac_wsi.weights.catalogue import find_model_file

    path = find_model_file(model) or Path(model)
    if find_spec("torch") is None and not is_sam_file(path):
        findings = verify_arrays(path)
    else:
        from sac_wsi.model.checkpoint.file import verify  # imports torch

        findings = verify(path)
    for finding in findings:
        click.echo(finding)
    if findings:
        raise click.exceptions.Exit(1)
    click.echo(f"{path}: no problems found")
