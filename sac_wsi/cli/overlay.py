"""`sac-wsi overlay`"""

from __future__ import annotations

from pathlib import Path

import click


@click.command("overlay")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The picture, a .png.")
@click.option("--region", metavar="X,Y,W,H", help="Level-0 pixels to show.  [default: the whole slide]")
@click.option("--slide", type=click.Path(path_type=Path), help="Where the slide has moved to.")
@click.option("--overwrite", is_flag=True, help="Replace a picture that exists.")
def command(run: Path, out: Path, region: str | None, slide: Path | None, overwrite: bool) -> None:
    """Draw slide and nuclei in one picture.

    Outlines in a region, or the density over the whole slide.

    \b
    Example:
      sac-wsi overlay nuclei.geojson --region 1000,1000,800,600 --out look.png
    """
    from sac_wsi.errors import OutputError
    from sac_wsi.pictures.overlay import save_png
    from sac_wsi.pictures.views import parse_region, region_picture, slide_picture
    from sac_wsi.store.outputs import refuse_input
    from sac_wsi.store.run import Run

    if out.suffix != ".png":
        raise OutputError(f"{out.name!r} is no .png. Give --out look.png.")
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists. Pass --overwrite to replace it, or give another --out.")
    opened = Run.open(run)
    refuse_input([out], slide or opened.original_slide_path)
    picture = (
        region_picture(opened, parse_region(region), slide)
        if region is not None
        else slide_picture(opened, slide)
    )
    save_png(out, picture)
    click.echo(f"{out}  {picture.shape[1]} x {picture.shape[0]} px")
