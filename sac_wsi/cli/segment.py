"""The command `sac-wsi segment`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from sac_wsi.cli.describe import failures_text, summary_text
from sac_wsi.cli.kernels import announce_compilation
from sac_wsi.cli.options import (
    PATH,
    as_overrides,
    json_option,
    mpp_option,
    outs_option,
    overwrite_option,
    sam_checkpoint_option,
    set_option,
    slide_argument,
)
from sac_wsi.cli.progress import segment_progress

if TYPE_CHECKING:
    from pathlib import Path


@click.command("segment")
@slide_argument
@click.argument("more_slides", nargs=-1, metavar="")
@outs_option(
    ".geojson, .geojson.gz, .zip (for QuPath above 100,000 nuclei), .tif or .png (label image), "
    ".zarr (the store)"
)
@click.option(
    "--model",
    metavar="NAME|FILE",
    help="A name that `models list` shows, a file of weights, or classical.  [default: sac-tiny]",
)
@sam_checkpoint_option("Meta's SAM weights, for a checkpoint that holds only the trained part.")
@click.option(
    "--points",
    metavar="FILE.geojson",
    help="Points placed by a person, added to the automatic prompts; class Negative means no nucleus here.",
)
@click.option(
    "--tta",
    is_flag=True,
    help="Average the prompter's maps over all eight rotations and mirror images of a tile; takes several "
    "times as long.",
)
@mpp_option
@click.option(
    "--tissue",
    metavar="none|auto|FILE.geojson",
    help="Where to search: everywhere, in detected tissue, or in the regions of a file.  "
    "[default: auto for slides, none for plain images]",
)
@click.option(
    "--device",
    metavar="auto|cpu|cuda|cuda:N|mps",
    help="Where the model runs.  [default: a GPU, if any]",
)
@click.option(
    "--precision", metavar="auto|float32|bf16", help="Numbers of the model's arithmetic.  [default: auto]"
)
@click.option("--allow-fluorescence", is_flag=True, help="Take dark slides too; the models are for H&E.")
@click.option("--config", "config_file", type=PATH, help="YAML file of settings.")
@set_option("One setting, such as grid.halo_um=20.")
@click.option(
    "--workers",
    default="1",
    show_default=True,
    metavar="N|ADDRESS",
    help="Processes on this machine, or the address of a running Dask cluster.",
)
@click.option(
    "--max-failed-tiles",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="How many unreadable tiles still count as success.",
)
@click.option(
    "--verify-slide",
    is_flag=True,
    help="Read what was segmented once more and compare, even if the slide's file looks unchanged.",
)
@click.option("--discard-store", is_flag=True, help="Remove the store once the outputs are written.")
@overwrite_option("Start over, and replace outputs of other runs; never a file of another program.")
@json_option
def command(
    slide: Path,
    more_slides: tuple[str, ...],
    outs: tuple[Path, ...],
    model: str | None,
    sam_checkpoint: str | None,
    points: str | None,
    tta: bool,
    mpp: float | None,
    tissue: str | None,
    device: str | None,
    precision: str | None,
    allow_fluorescence: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
    workers: str,
    max_failed_tiles: int,
    verify_slide: bool,
    discard_store: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Find the nuclei of SLIDE.

    If the command is interrupted or killed, run it again: it continues where it stopped.

    \b
    Example:
      sac-wsi segment slide.svs --out nuclei.geojson --workers 2
    """
    from sac_wsi.engine.config import load_config
    from sac_wsi.engine.segment import segment_slide
    from sac_wsi.model.checkpoint.inference import MOST_VIEWS
    from sac_wsi.store.outputs import plan_outputs, refuse_inputs
    from sac_wsi.store.own_files import remove_store

    if more_slides:
        raise click.UsageError(
            f"segment takes one slide, and got {1 + len(more_slides)}. For many slides: python "
            "pipelines/segment_folder.py SLIDES RESULTS."
        )
    chosen = as_overrides(
        model=model,
        sam_checkpoint=sam_checkpoint,
        points=points,
        tissue=tissue,
        device=device,
        precision=precision,
    )
    flags = [f"sac.tta={MOST_VIEWS}"] * tta + ["allow_fluorescence=true"] * allow_fluorescence
    config = load_config(config_file, [*overrides, *chosen, *flags])
    if discard_store and any(out.suffix == ".zarr" for out in outs):
        raise click.UsageError("--discard-store would remove the .zarr given as --out. Use one of the two.")
    planned = plan_outputs(outs)
    refuse_inputs([planned.store, *planned.files], [config_file] if config_file else [])
    announce_compilation()
    with segment_progress() as on_progress:
        run = segment_slide(
            slide,
            outs,
            config=config,
            mpp=mpp,
            workers=int(workers) if workers.lstrip("-").isdigit() else workers,
            overwrite=overwrite,
            verify_slide=verify_slide,
            on_progress=on_progress,
        )
    assert run.summary is not None
    click.echo(json.dumps(run.summary.to_json()) if as_json else summary_text(run.summary))
    for warning in run.summary.warnings:
        click.echo(f"warning: {warning}", err=True)
    if discard_store and run.summary.reused:
        click.echo(f"warning: {run.store} was kept: an earlier command made it", err=True)
    elif discard_store:
        remove_store(run.store)
    if len(run.summary.failures) > max_failed_tiles:
        click.echo(failures_text(run.summary, max_failed_tiles), err=True)
        raise click.exceptions.Exit(1)
