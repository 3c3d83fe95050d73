"""The command `sac-wsi export`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sac_wsi.cli.options import outs_option, overwrite_option, run_argument

if TYPE_CHECKING:
    from pathlib import Path


@click.command("export")
@run_argument
@outs_option(".geojson, .geojson.gz, .zip, .tif or .png")
@overwrite_option("Replace outputs of other runs; never a file of another program.")
def command(run: Path, outs: tuple[Path, ...], overwrite: bool) -> None:
    """Write the nuclei of RUN in other formats.

    Needs neither the slide nor a model. RUN is a store (X.zarr) or any output that a run wrote.

    \b
    Example:
      sac-wsi export nuclei.geojson --out nuclei.zip --out labels.tif
    """
    from sac_wsi.errors import OutputError
    from sac_wsi.files.atomic import nothing, refuse_existing
    from sac_wsi.store.digests import refuse_damaged
    from sac_wsi.store.outputs import check_writable, is_export, make_folders, plan_outputs, refuse_inputs
    from sac_wsi.store.run import Run

    opened = Run.open(run)
    planned = plan_outputs(outs)
    if len(planned.files) < len(set(outs)):
        raise OutputError("export does not write stores. Copy the .zarr folder instead.")
    check_writable(planned)
    refuse_inputs(planned.files, [opened.original_slide_path, opened.store])
    refuse_damaged(opened.store)
    for path in planned.files:
        refuse_existing(path, is_export, overwrite=overwrite)
    make_folders(planned)
    for path in planned.files:
        advice = opened.export(path, is_export if overwrite else nothing)
        click.echo(f"{path}  {len(opened.nuclei):,} nuclei")
        if advice:
            click.echo(f"warning: {advice}", err=True)
