"""Cut boxes of a slide as training data: images with label maps of nuclei that a person has corrected.

    sac-wsi segment slide.svs --out nuclei.geojson
    # in QuPath: correct the nuclei, draw training rectangles and areas without nuclei; export each
    python pipelines/cut_boxes.py slide.svs nuclei.geojson boxes --boxes boxes.geojson --without none.geojson
    python pipelines/pack_training.py nuclei.zip --folders boxes/images boxes/labels --mpp 0.25 --licence …

A box is the bounding box of a polygon. A nucleus whose centroid is in an area of --without is removed. Holes
in a nucleus are filled, and a nucleus of several parts counts as several. Boxes are cut at full resolution.
Boxes of several slides can share a folder if each slide has its own --name. To keep whole slides for
validation, pass --group-pattern '^(.*)_x' to pack_training. Without it each box is a group, and overlapping
boxes can be on both sides of the split.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely
from PIL import Image
from shapely import Polygon

from sac_wsi import SacWsiError
from sac_wsi.datasets.polygons import FIRST_PIXEL_XY, paint
from sac_wsi.errors import RequestError
from sac_wsi.files.atomic import make_folder
from sac_wsi.files.png import save_png
from sac_wsi.geometry import Box
from sac_wsi.pictures.draw_run import LARGEST_SIDE_PX
from sac_wsi.slide.open import open_slide
from sac_wsi.tissue.region import read_polygons

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_MOST_LABELS = np.iinfo(np.uint16).max
_GEOJSON_TO_PAINT = FIRST_PIXEL_XY - 0.5
"""The first pixel of GeoJSON reaches from 0 to 1; for `paint` its centre is 1."""


def without(nuclei: Sequence[Polygon], areas: Sequence[Polygon]) -> list[Polygon]:
    """Return the nuclei whose centroid is in none of the areas."""
    found = shapely.union_all([shapely.make_valid(area) for area in areas])
    shapely.prepare(found)
    return [nucleus for nucleus in nuclei if not shapely.intersects(found, nucleus.centroid)]


def boxes_of(drawn: Sequence[Polygon], slide_level0: Box) -> list[Box]:
    """Return the bounding boxes of the polygons in level-0 pixels, cut to the slide."""
    if not drawn:
        raise RequestError("--boxes holds no polygon: needed a rectangle around each training area.")
    boxes = []
    for polygon in drawn:
        x0, y0, x1, y1 = (round(side) for side in polygon.bounds)
        box = Box(y0, x0, y1, x1).intersect(slide_level0)
        if box.empty or max(box.shape) > LARGEST_SIDE_PX:
            raise RequestError(
                f"A box covers x, y {[x0, y0, x1, y1]}: needed 1 to {LARGEST_SIDE_PX} pixels a side on the "
                f"slide of {slide_level0.width} x {slide_level0.height} (width x height)."
            )
        boxes.append(box)
    return boxes


def labels_of(nuclei: Sequence[Polygon], tree: shapely.STRtree, box: Box) -> NDArray[np.uint16]:
    """Return (h, w) labels of the nuclei in the box, numbered from 1."""
    near = sorted(tree.query(shapely.box(box.x0, box.y0, box.x1, box.y1)))
    moved = np.array([box.x0, box.y0]) - _GEOJSON_TO_PAINT
    if len(near) > _MOST_LABELS:
        raise RequestError(
            f"A box holds {len(near):,} nuclei: needed at most {_MOST_LABELS:,}, a smaller box."
        )
    labels = paint([shapely.get_coordinates(nuclei[i].exterior) - moved for i in near], box.shape)
    return labels.astype(np.uint16)


def cut(
    slide: Path, nuclei: list[Polygon], drawn: list[Polygon], out: Path, name: str
) -> Iterator[tuple[str, int]]:
    """Write image and labels of each box; yield the file name and the number of nuclei."""
    tree = shapely.STRtree(nuclei)
    with open_slide(slide) as opened:
        boxes = boxes_of(drawn, Box.of_shape(opened.info.shape_yx))
        named = {f"{name}_x{box.x0}_y{box.y0}_{box.width}x{box.height}.png": box for box in boxes}
        for file in named:
            if (out / "images" / file).exists():
                raise RequestError(
                    f"{out / 'images' / file} exists: needed another folder, or another --name."
                )
        for folder in ("images", "labels"):
            make_folder(out / folder)
        for file, box in named.items():
            labels = labels_of(nuclei, tree, box)
            save_png(out / "images" / file, opened.read_level(0, box))
            Image.fromarray(labels).save(out / "labels" / file)
            yield file, len(np.unique(labels[labels > 0]))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("slide", type=Path)
    made.add_argument("nuclei", type=Path, help="GeoJSON")
    made.add_argument("out", type=Path, help="a folder; images/ and labels/ are made in it")
    made.add_argument("--boxes", type=Path, required=True, help="GeoJSON")
    made.add_argument("--without", type=Path, help="GeoJSON of areas in which there is no nucleus")
    made.add_argument("--name", default="slide", help="begins the files' names  [slide]")
    return made


def main() -> None:
    options = parser().parse_args()
    try:
        nuclei = read_polygons(options.nuclei)
        if options.without:
            nuclei = without(nuclei, read_polygons(options.without))
        drawn = read_polygons(options.boxes)
        for file, count in cut(options.slide, nuclei, drawn, options.out, options.name):
            print(f"{file}: {count} nuclei")
    except SacWsiError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
