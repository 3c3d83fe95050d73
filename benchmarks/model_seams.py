"""The same pixels with the grid moved by half a core: does it show where the seams were?

    python benchmarks/model_seams.py IMAGE [IMAGE ...] [--model sac-tiny] [--mpp 0.25]

The images (as many as fill whole rows, cut to the smallest size) are laid out as one large image. It is
segmented, and once more with half a core of mirrored pixels before its first row and column. Both label maps
are compared by panoptic quality: all nuclei, those whose centroid lies within 5 µm of a seam of either run,
and the others. Prints Markdown.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from machine import origin
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from sac_wsi import load_config, segment_slide
from sac_wsi.engine.plan import Plan, make_plan
from sac_wsi.evaluate.metrics.overlap import compute_overlap
from sac_wsi.geometry import Box
from sac_wsi.slide.open import open_slide
from sac_wsi.slide.resolution.mpp import require_mpp

if TYPE_CHECKING:
    from sac_wsi.engine.config import SegmentConfig

Rgb = NDArray[np.uint8]
Labels = NDArray[np.int32]
STRIP_UM = 5.0


def laid_out(paths: list[Path], mpp: float | None) -> tuple[Rgb, float]:
    """All images side by side, and the resolution of the first."""
    pixels, resolutions = [], []
    for path in paths:
        with open_slide(path, mpp=mpp) as slide:
            pixels.append(slide.read_level(0, Box.of_shape(slide.info.shape_yx)))
            resolutions.append(require_mpp(slide.info))
    if len(set(resolutions)) > 1:
        raise SystemExit(f"the images have {sorted(set(resolutions))} µm per pixel: pass --mpp")
    across = math.isqrt(len(pixels))
    height, width = (min(each.shape[axis] for each in pixels) for axis in (0, 1))
    whole = [each[:height, :width] for each in pixels[: len(pixels) // across * across]]
    rows = [np.concatenate(whole[i : i + across], axis=1) for i in range(0, len(whole), across)]
    return np.concatenate(rows), resolutions[0]


def segmented(rgb: Rgb, mpp: float, config: SegmentConfig) -> tuple[Labels, Plan]:
    """The label map of an image, a label for each of its pixels, and how it was cut."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.png"
        Image.fromarray(rgb).save(path, compress_level=1)
        plan = make_plan(path, config, mpp=mpp)
        labels = np.asarray(segment_slide(path, Path(folder) / "n.zarr", config=config, mpp=mpp).labels())
    if labels.shape != rgb.shape[:2]:
        raise SystemExit(f"the labels are {labels.shape}, the image {rgb.shape[:2]}: needed the same")
    return labels, plan


def half_core_px(plan: Plan) -> int:
    """Of the image; a grid cannot be moved by parts of its pixels."""
    half = plan.grid.core_px / 2 * plan.frame.downsample
    if abs(half - round(half)) > 1e-6:
        raise SystemExit(f"half a core is {half} of the image's pixels: pass --mpp 0.25 or 0.5")
    return round(half)


def seam_distance_px(length: int, core_px: int, first_px: int) -> NDArray[np.float64]:
    """Along one axis, of each pixel from the nearest seam; seams lie at first, first + core..."""
    along = np.arange(length) + 0.5 - first_px
    return np.abs(along - core_px * np.rint(along / core_px))


def quality(a: Labels, b: Labels, near_px: NDArray[np.bool_]) -> dict[str, tuple[int, float]]:
    """Nuclei and PQ: of all, of those near a seam, of the others."""
    found = compute_overlap(a, b)
    matched = found.iou > 0.5
    rows, columns, iou = found.truth_row[matched], found.pred_row[matched], found.iou[matched]
    at_a, at_b = _at_seam(a, found.truth_ids, near_px), _at_seam(b, found.pred_ids, near_px)
    qualities = {}
    for name, in_a, in_b in (
        ("all nuclei", np.ones_like(at_a), np.ones_like(at_b)),
        ("within 5 µm of a seam", at_a, at_b),
        ("elsewhere", ~at_a, ~at_b),
    ):
        # a pair belongs where its first lies: two centroids may lie on two sides of the strip's edge
        pairs = in_a[rows]
        alone_a = in_a.sum() - pairs.sum()
        lonely_b = np.ones(len(in_b), bool)
        lonely_b[columns] = False
        alone_b = (lonely_b & in_b).sum()
        total = pairs.sum() + (alone_a + alone_b) / 2
        qualities[name] = int(in_a.sum()), float(iou[pairs].sum() / total)
    return qualities


def _at_seam(labels: Labels, ids: NDArray[np.integer], near_px: NDArray[np.bool_]) -> NDArray[np.bool_]:
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, ids)).round().astype(int)
    return near_px[centres[:, 0], centres[:, 1]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--model", default="sac-tiny")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--mpp", type=float)
    options = parser.parse_args()
    rgb, mpp = laid_out(options.images, options.mpp)
    config = load_config(overrides=[f"model={options.model}", "tissue=none", *options.settings])
    still, plan = segmented(rgb, mpp, config)
    half = half_core_px(plan)
    moved, _ = segmented(np.pad(rgb, ((half, 0), (half, 0), (0, 0)), mode="symmetric"), mpp, config)
    moved = moved[half:, half:]
    strip_px = STRIP_UM / mpp
    near_y, near_x = (
        np.minimum(seam_distance_px(n, 2 * half, 0), seam_distance_px(n, 2 * half, half)) < strip_px
        for n in still.shape
    )
    near = near_y[:, None] | near_x[None, :]
    # the first rows see other pixels beyond the edge in one run than in the other
    inner = np.s_[half // 2 :, half // 2 :]
    print(origin() + "\n")
    print(f"{rgb.shape[0]:,} x {rgb.shape[1]:,} pixels of {mpp:g} µm, core {2 * half} pixels.\n")
    print("| | nuclei | PQ between the two runs |\n|---|--:|--:|")
    for name, (count, pq) in quality(still[inner], moved[inner], near[inner]).items():
        print(f"| {name} | {count:,} | {pq:.4f} |")


if __name__ == "__main__":
    main()
