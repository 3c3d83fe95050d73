"""Segment a synthetic slide, to see that the installation works and what the outputs look like."""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from sac_wsi.engine.segment import Progress, segment_slide
from sac_wsi.errors import OutputError
from sac_wsi.files.atomic import atomic_file, make_folder
from sac_wsi.files.png import save_png
from sac_wsi.geometry import Box
from sac_wsi.pictures.draw_run import draw_region, draw_slide
from sac_wsi.testing import SyntheticSlide

if TYPE_CHECKING:
    from collections.abc import Callable

    from sac_wsi.store.run import Run

SIDE_PX = 3072
SHOWN = Box(1240, 1140, 1840, 1940)


def run_demo(
    folder: Path, *, workers: int | str = 1, on_progress: Callable[[Progress], None] = lambda _: None
) -> Run:
    """Write a synthetic H&E slide into ``folder``, find its nuclei, and draw two pictures of them."""
    make_folder(folder)
    slide = folder / "slide.tiff"
    _write_slide(slide)
    run = segment_slide(
        slide, folder / "nuclei.geojson", workers=workers, overwrite=True, on_progress=on_progress
    )
    save_png(folder / "overlay.png", draw_region(run, SHOWN))
    save_png(folder / "density.png", draw_slide(run))
    return run


def _write_slide(path: Path) -> None:
    """Write the slide, unless it is there; raise OutputError if there is something else of that name."""
    with TemporaryDirectory(prefix=".sac-wsi-", dir=path.parent) as folder:
        made = Path(folder) / path.name
        SyntheticSlide(seed=7, shape_yx=(SIDE_PX, SIDE_PX), tissue="blobs").write_tiff(made)
        if not os.path.lexists(path):
            with atomic_file(path) as file, made.open("rb") as source:
                shutil.copyfileobj(source, file)
        elif path.is_symlink() or not path.is_file() or not filecmp.cmp(made, path, shallow=False):
            raise OutputError(f"{path} is not the slide of the demo. Give another folder with --out.")
