"""The command `sac-wsi verify`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from sac_wsi.cli.options import json_option, run_argument

if TYPE_CHECKING:
    from pathlib import Path


@click.command("verify")
@run_argument
@json_option
def command(run: Path, as_json: bool) -> None:
    """Check the store or the outputs of RUN.

    Checks polygons, ids, overlaps and labels, and that they agree with each other. RUN is a store (X.zarr) or
    an output; an output is compared with its store.

    \b
    Example:
      sac-wsi verify nuclei.geojson
    """
    from sac_wsi.verify.check_run import verify_run

    report = verify_run(run)
    if as_json:
        click.echo(json.dumps(report.to_json()))
    else:
        for problem in report.problems:
            click.echo(f"{problem.kind}: {problem.where}: {problem.detail}")
        click.echo(report.verdict)
    if not report.ok:
        raise click.exceptions.Exit(1)
