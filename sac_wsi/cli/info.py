"""The command `sac-wsi info`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from sac_wsi.cli.describe import slide_text
from sac_wsi.cli.options import json_option, mpp_option, slide_argument

if TYPE_CHECKING:
    from pathlib import Path


@click.command("info")
@slide_argument
@mpp_option
@json_option
def command(slide: Path, mpp: float | None, as_json: bool) -> None:
    """Show size, resolution and levels of SLIDE, and where the resolution comes from.

    \b
    Example:
      sac-wsi info slide.svs
    """
    from sac_wsi.slide.open import open_slide

    with open_slide(slide, mpp=mpp) as opened:
        click.echo(json.dumps(opened.info.to_json()) if as_json else slide_text(opened.info))
