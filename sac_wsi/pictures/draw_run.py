"""Draw the nuclei of a run on its slide: a region with outlines, or the whole slide with the density."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sac_wsi.errors import InputChanged, RequestError
from sac_wsi.geometry import Box
from sac_wsi.pictures.overlay import DensityMap, draw_outlines
from sac_wsi.slide.open import open_slide
from sac_wsi.slide.resolution.mpp import require_mpp
from sac_wsi.slide.thumbnail import thumbnail

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from sac_wsi.slide.protocol import Slide
    from sac_wsi.store.run import Run

LARGEST_SIDE_PX = 8000
OVERVIEW_PX = 1600


def parse_region(text: str) -> Box:
    """Return the box, in level-0 pixels, of a text ``X,Y,W,H``.

    >>> parse_region("10,20,300,200")
    Box(y0=20, x0=10, y1=220, x1=310)
    """
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise RequestError(f"--region is {text!r}, needed four whole numbers X,Y,W,H.") from None
    if width < 1 or height < 1 or max(width, height) > LARGEST_SIDE_PX:
        raise RequestError(f"--region is {text!r}: width and height must be 1 to {LARGEST_SIDE_PX} pixels.")
    return Box(y, x, y + height, x + width)


def draw_region(run: Run, region_level0: Box, slide: Path | None = None) -> NDArray[np.uint8]:
    """Return the region at level 0 with all nuclei outlined; a small region is enlarged.

    ``slide`` is its path if it was moved.
    """
    with _slide_of(run, slide) as opened:
        if region_level0.intersect(Box.of_shape(opened.info.shape_yx)).empty:
            height, width = opened.info.shape_yx
            raise RequestError(f"--region lies outside the slide, which is {width} x {height} px.")
        rgb = opened.read_level(0, region_level0)
    zoom = max(1, 800 // max(rgb.shape[:2]))
    rgb = rgb.repeat(zoom, axis=0).repeat(zoom, axis=1)
    downsample = run.provenance["frame"]["downsample"]
    frame_box = Box(
        *(int(v // downsample) for v in (region_level0.y0, region_level0.x0)),
        *(int(-(-v // downsample)) for v in (region_level0.y1, region_level0.x1)),
    )
    for rows in run.nuclei.table.near(frame_box):
        rgb = draw_outlines(rgb, (region_level0.y0, region_level0.x0), zoom, rows)
    return rgb


def draw_slide(run: Run, slide: Path | None = None) -> NDArray[np.uint8]:
    """Return a thumbnail of the slide with the density of nuclei over it.

    ``slide`` is its path if it was moved.
    """
    with _slide_of(run, slide) as opened:
        mpp = require_mpp(opened.info)
        um_per_px = max(opened.info.shape_yx) * mpp / OVERVIEW_PX
        rgb, _ = thumbnail(opened, max(um_per_px, mpp))
    density = DensityMap(rgb.shape[:2], max(um_per_px, mpp))
    for rows in run.nuclei.batches():
        density.add(rows)
    return density.draw(rgb)


def _slide_of(run: Run, moved_to: Path | None) -> Slide:
    known = run.provenance["slide"]
    opened = open_slide(run.slide_path(moved_to), mpp=known["mpp"])
    if opened.info.fingerprint != known["fingerprint"]:
        opened.close()
        raise InputChanged(
            f"{opened.info.path} is not the slide of this run (its content differs). Pass --slide."
        )
    return opened
