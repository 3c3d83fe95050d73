"""`sac-wsi verify`"""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("verify")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(run: Path, as_json: bool) -> None:
    """Check what RUN wrote.

    Polygons, ids, overlaps, labels, and that all of it agrees. RUN is a store (X.zarr) or an output; an
    output is compared with its store.

    \b
    Example:
      sac-wsi verify nuclei.geojson
    """
    from sac_wsi.verify.verify import verify_run

    report = verify_run(run)
    if as_json:
        click.echo(json.dumps(report.to_json()))
    else:
        for problem in report.problems:
            click.echo(f"{problem.kind}: {problem.where}: {problem.detail}")
        click.echo(report.verdict)
    if not report.ok:
        raise click.exceptions.Exit(1)
