"""`sac-wsi segment`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sac_wsi.cli.kernels import announce_compilation
from sac_wsi.cli.progress import reporter

if TYPE_CHECKING:
    from sac_wsi.store.run import Run, Summary


@click.command("segment")
@click.argument("slide", type=click.Path(path_type=Path))
@click.option(
    "--out",
    "outs",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Output; may be given several times. The extension chooses the form: .geojson, .geojson.gz, "
    ".zip (for QuPath above 100,000 nuclei), .tif or .png (label image), .zarr (the store).",
)
@click.option(
    "--model",
    metavar="NAME|FILE",
    help="What `models list` names, a checkpoint (.safetensors), or classical.  [default: sac-tiny]",
)
@click.option(
    "--sam-checkpoint",
    metavar="FILE",
    help="Meta's SAM weights, for a checkpoint that holds only what was trained.",
)
@click.option(
    "--points",
    metavar="FILE.geojson",
    help="Points of a person, prompts beside the automatic ones; class Negative: no nucleus here.",
)
@click.option(
    "--tta",
    is_flag=True,
    help="Average the U-Net's maps over all turns and mirror images of a tile: better, several times slower.",
)
@click.option("--mpp", type=float, help="Micrometres per pixel of the slide, where its file does not say.")
@click.option(
    "--tissue",
    metavar="none|auto|FILE.geojson",
    help="Where to look.  [default: auto for slides, none for plain images]",
)
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="YAML file of settings.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting, such as grid.halo_um=20."
)
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
    help="Unreadable tiles that still count as success.",
)
@click.option("--discard-store", is_flag=True, help="Remove the store once the outputs are written.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist and begin anew.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
def command(
    slide: Path,
    outs: tuple[Path, ...],
    model: str | None,
    sam_checkpoint: str | None,
    points: str | None,
    tta: bool,
    mpp: float | None,
    tissue: str | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
    workers: str,
    max_failed_tiles: int,
    discard_store: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Find the nuclei of SLIDE.

    Interrupted or killed, the same command goes on where it stopped.

    \b
    Example:
      sac-wsi segment slide.svs --out nuclei.geojson --workers 2
    """
    from sac_wsi.engine.config import load_config
    from sac_wsi.engine.segment import segment_slide
    from sac_wsi.model.checkpoint.inference import MOST_VIEWS

    named = {"model": model, "sam_checkpoint": sam_checkpoint, "points": points, "tissue": tissue}
    given = {key: json.dumps(value, ensure_ascii=False) for key, value in named.items() if value is not None}
    chosen = [f"{key}={text}" for key, text in given.items()] + [f"sac.tta={MOST_VIEWS}"] * tta
    config = load_config(config_file, [*overrides, *chosen])
    if discard_store and any(out.suffix == ".zarr" for out in outs):
        raise click.UsageError("--discard-store would remove the .zarr that --out asks for: leave one out.")
    announce_compilation()
    with reporter() as on_progress:
        run = segment_slide(
            slide,
            outs,
            config=config,
            mpp=mpp,
            workers=int(workers) if workers.lstrip("-").isdigit() else workers,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    assert run.summary is not None
    click.echo(json.dumps(run.summary.to_json()) if as_json else describe(run.summary))
    for warning in run.summary.warnings:
        click.echo(f"warning: {warning}", err=True)
    if discard_store:
        _discard(run)
    if len(run.summary.failures) > max_failed_tiles:
        click.echo(_failures(run.summary, max_failed_tiles), err=True)
        raise click.exceptions.Exit(1)


def describe(summary: Summary) -> str:
    """The summary for people."""
    tiles = ", ".join(f"{count:,} {outcome}" for outcome, count in summary.tiles.items())
    density = f", {summary.nuclei / summary.tissue_mm2:,.0f} per mm²" if summary.tissue_mm2 else ""
    lines = [
        f"{summary.nuclei:,} nuclei in {summary.tissue_mm2:.2f} mm² of tissue{density}",
        f"tiles     {tiles} (skipped: no tissue)",
        f"store     {summary.store}{' (was complete)' if summary.reused else ''}",
        *(f"output    {path}" for path in summary.outputs),
        f"seconds   {summary.wall_seconds:.1f} with {summary.workers} worker(s): {_stages(summary)}",
    ]
    if large := summary.dropped.get("larger_than_halo"):
        lines.append(
            f"dropped   {large:,} objects larger than the halo; if they are nuclei, raise grid.halo_um"
        )
    return "\n".join(lines)


def _stages(summary: Summary) -> str:
    return " · ".join(
        f"{stage} {seconds:.1f}{' (bottleneck)' if stage == summary.bottleneck else ''}"
        for stage, seconds in summary.seconds.items()
    )


def _failures(summary: Summary, allowed: int) -> str:
    first = "; ".join(f"tile {tile}: {reason}" for tile, reason in summary.failures[:3])
    more = f" and {len(summary.failures) - 3} more" if len(summary.failures) > 3 else ""
    return (
        f"sac-wsi: {len(summary.failures)} tiles failed, {allowed} allowed ({first}{more}). Everything else "
        "is in the outputs; --max-failed-tiles sets how many are accepted."
    )


def _discard(run: Run) -> None:
    import shutil

    shutil.rmtree(run.store)
