"""`sac-wsi export`"""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--out",
    "outs",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Output; may be given several times: .geojson, .geojson.gz, .zip, .tif or .png.",
)
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
def command(run: Path, outs: tuple[Path, ...], overwrite: bool) -> None:
    """Write the nuclei of RUN in other forms.

    Needs neither the slide nor a model. RUN is a store (X.zarr) or any output that a run wrote.

    \b
    Example:
      sac-wsi export nuclei.geojson --out nuclei.zip --out labels.tif
    """
    from sac_wsi.errors import OutputError
    from sac_wsi.store.outputs import check_writable, plan_outputs, refuse_input
    from sac_wsi.store.run import Run

    opened = Run.open(run)
    planned = plan_outputs(outs)
    if len(planned.files) < len(set(outs)):
        raise OutputError("export does not write stores. Copy the .zarr folder instead.")
    check_writable(planned)
    refuse_input(planned.files, opened.original_slide_path)
    for path in planned.files:
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists. Pass --overwrite to replace it, or give another --out.")
    for path in planned.files:
        advice = opened.export(path)
        click.echo(f"{path}  {len(opened.nuclei):,} nuclei")
        if advice:
            click.echo(f"warning: {advice}", err=True)
