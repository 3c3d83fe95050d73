"""Segment a synthetic slide, to see that the installation works and what the outputs look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sac_wsi.engine.segment import Progress, segment_slide
from sac_wsi.geometry import Box
from sac_wsi.pictures.draw_run import draw_region, draw_slide
from sac_wsi.pictures.overlay import save_png
from sac_wsi.testing import SyntheticSlide

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sac_wsi.store.run import Run

SIDE_PX = 3072
SHOWN = Box(1240, 1140, 1840, 1940)


def run_demo(
    folder: Path, *, workers: int | str = 1, on_progress: Callable[[Progress], None] = lambda _: None
) -> Run:
    """Write a synthetic H&E slide into ``folder``, find its nuclei, and draw two pictures of them."""
    folder.mkdir(parents=True, exist_ok=True)
    slide = folder / "slide.tiff"
    SyntheticSlide(seed=7, shape_yx=(SIDE_PX, SIDE_PX), tissue="blobs").write_tiff(slide)
    run = segment_slide(
        slide, folder / "nuclei.geojson", workers=workers, overwrite=True, on_progress=on_progress
    )
    save_png(folder / "overlay.png", draw_region(run, SHOWN))
    save_png(folder / "density.png", draw_slide(run))
    return run
