"""The command `sac-wsi demo`."""

from __future__ import annotations

from pathlib import Path

import click

from sac_wsi.cli.describe import summary_text
from sac_wsi.cli.kernels import announce_compilation
from sac_wsi.cli.progress import segment_progress


@click.command("demo")
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default="demo",
    show_default=True,
    help="Folder for the slide and its outputs; files of an earlier demo are replaced.",
)
def command(folder: Path) -> None:
    """Try it on a synthetic slide.

    Makes an H&E slide, finds its nuclei, exports them and draws two pictures.

    \b
    Example:
      sac-wsi demo
    """
    from sac_wsi.engine.demo import run_demo

    announce_compilation()
    with segment_progress() as on_progress:
        run = run_demo(folder, on_progress=on_progress)
    assert run.summary is not None
    click.echo(summary_text(run.summary))
    click.echo(f"pictures  {folder / 'overlay.png'}, {folder / 'density.png'}")
