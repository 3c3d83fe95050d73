"""The command `sac-wsi overlay`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sac_wsi.cli.options import PATH, overwrite_option, run_argument

if TYPE_CHECKING:
    from pathlib import Path


@click.command("overlay")
@run_argument
@click.option("-o", "--out", type=PATH, required=True, help="The picture, a .png file.")
@click.option("--region", metavar="X,Y,W,H", help="Level-0 pixels to show.  [default: the whole slide]")
@click.option("--slide", type=PATH, help="The slide, if it was moved.")
@overwrite_option("Replace a picture of an earlier overlay; never a file of another program.")
def command(run: Path, out: Path, region: str | None, slide: Path | None, overwrite: bool) -> None:
    """Draw slide and nuclei in one picture.

    With --region it draws outlines, without it the density of nuclei over the whole slide.

    \b
    Example:
      sac-wsi overlay nuclei.geojson --region 1000,1000,800,600 --out region.png
    """
    from sac_wsi.errors import OutputError
    from sac_wsi.files.atomic import refuse_existing
    from sac_wsi.files.png import is_own_picture, save_png
    from sac_wsi.pictures.draw_run import draw_region, draw_slide, parse_region
    from sac_wsi.store.outputs import refuse_inputs
    from sac_wsi.store.run import Run

    if out.suffix != ".png":
        raise OutputError(f"{out.name!r} is not a .png file. Give --out picture.png.")
    opened = Run.open(run)
    refuse_inputs([out], [slide or opened.original_slide_path, opened.store])
    refuse_existing(out, is_own_picture, overwrite=overwrite)
    if region is None:
        picture = draw_slide(opened, slide)
    else:
        picture = draw_region(opened, parse_region(region), slide)
    save_png(out, picture)
    click.echo(f"{out}  {picture.shape[1]} x {picture.shape[0]} px")
