"""Quality and speed of the classical segmenter on labelled images.

    python benchmarks/classical_quality.py --data MoNuSeg --half odd

Each DIR holds ``images/`` and ``labels/`` (one id per nucleus) with the same file names at ``--image-mpp``.
Images are area-averaged to the segmenter's resolution; the result is enlarged again and scored on the full
image: mean Dice, AJI and PQ over the images, as in ``sac_wsi.evaluate.metrics``.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from skimage.io import imread

from sac_wsi.classical.segmenter import ClassicalSegmenter, ClassicalSettings
from sac_wsi.evaluate.metrics import ImageScores, score_image, summarise
from sac_wsi.geometry import Box
from sac_wsi.nuclei.masks import labels_from_nuclei
from sac_wsi.tiling.segmenter import RgbTile

if TYPE_CHECKING:
    from collections.abc import Iterator

Labels = NDArray[np.int64]
HALVES = {"all": slice(None), "even": slice(0, None, 2), "odd": slice(1, None, 2)}


def shrink(rgb: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return the area average over factor x factor pixels, without a remainder at the far edges."""
    height, width = rgb.shape[0] // factor, rgb.shape[1] // factor
    cells = rgb[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return np.asarray(cells.mean((1, 3)).round(), np.uint8)


def labelled_images(folder: Path, half: str) -> Iterator[tuple[str, NDArray[np.uint8], Labels]]:
    """Yield name, RGB pixels and true labels of each image."""
    for path in sorted((folder / "images").iterdir())[HALVES[half]]:
        truth = np.asarray(imread(folder / "labels" / f"{path.stem}.png"), np.int64)
        yield path.stem, np.ascontiguousarray(imread(path)[..., :3]), truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--half", choices=HALVES, default="all", help="every other image, sorted by name")
    parser.add_argument("--image-mpp", type=float, default=0.25)
    parser.add_argument("--mpp", type=float, default=ClassicalSettings().mpp)
    args = parser.parse_args()
    segmenter = ClassicalSegmenter(replace(ClassicalSettings(), mpp=args.mpp))
    factor = round(args.mpp / args.image_mpp)
    _, warm_up, _ = next(labelled_images(args.data[0], args.half))
    segmenter.segment([RgbTile(warm_up, Box.of_shape(warm_up.shape[:2]))])  # compiles

    for folder in args.data:
        images: list[ImageScores] = []
        seconds, pixels = 0.0, 0
        for stem, rgb, truth in labelled_images(folder, args.half):
            tile = shrink(rgb, factor)
            start = time.process_time()
            nuclei = segmenter.segment([RgbTile(tile, Box.of_shape(tile.shape[:2]))])[0]
            seconds, pixels = seconds + time.process_time() - start, pixels + tile.shape[0] * tile.shape[1]
            found = np.kron(
                labels_from_nuclei(nuclei, Box.of_shape(tile.shape[:2])), np.ones((factor, factor), np.int64)
            )
            height, width = found.shape
            scores = score_image(truth[:height, :width], found, name=stem)
            images.append(scores)
            print(f"{stem:26s} dice {scores.dice:.3f}  aji {scores.aji:.3f}  pq {scores.pq:.3f}")
        means = "  ".join(f"{name} {summarise(images).mean[name]:.4f}" for name in ("dice", "aji", "pq"))
        print(f"{folder.name} ({args.half}, {len(images)} images): {means}")
        speed = pixels / seconds / 1e6
        print(f"  {speed:.1f} MPix/s per core at {args.mpp} um/px, settings {segmenter.settings}")


if __name__ == "__main__":
    main()
