"""`sac-wsi info`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sac_wsi.slide.protocol import SlideInfo


@click.command("info")
@click.argument("slide", type=click.Path(path_type=Path))
@click.option("--mpp", type=float, help="Micrometres per pixel, where the file does not say.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(slide: Path, mpp: float | None, as_json: bool) -> None:
    """Tell what is known of SLIDE, and from where.

    \b
    Example:
      sac-wsi info slide.svs
    """
    from sac_wsi.slide.open import open_slide

    with open_slide(slide, mpp=mpp) as opened:
        click.echo(json.dumps(opened.info.to_json()) if as_json else _describe(opened.info))


def _describe(info: SlideInfo) -> str:
    height, width = info.shape_yx
    resolution = "unknown: pass --mpp 0.25 (40x is usually 0.25, 20x 0.5)"
    size = f"{width:,} x {height:,} px"
    if info.mpp is not None:
        resolution = f"{info.mpp:.4g} µm/px (from {info.mpp_source})"
        size += f", {width * info.mpp / 1e3:.2f} x {height * info.mpp / 1e3:.2f} mm"
    levels = ", ".join(f"{level.shape_yx[1]} x {level.shape_yx[0]}" for level in info.levels)
    lines = [
        f"file         {info.path}",
        f"read by      {info.reader} ({info.vendor})",
        f"size         {size}",
        f"resolution   {resolution}",
        f"objective    {f'{info.objective:g}x' if info.objective else 'unknown'}",
        f"levels       {levels}",
        f"origin       {info.origin_yx[1]}, {info.origin_yx[0]} (x, y of the corner that QuPath shows)",
        f"fingerprint  {info.fingerprint}",
        *(f"warning      {warning}" for warning in info.warnings),
    ]
    return "\n".join(lines)
