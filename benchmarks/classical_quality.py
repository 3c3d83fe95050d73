"""Quality and speed of the classical segmenter on labelled images.

    python benchmarks/classical_quality.py --data /work/shared/data/monuseg_train --half odd

Each DIR holds ``images/`` and ``labels/`` (one id per nucleus) of the same stems at ``--image-mpp``.
Images are area-averaged to the segmenter's resolution, its answer is enlarged again and scored on the
full image: Dice, AJI (Kumar et al. 2017, each unmatched prediction added once) and PQ (IoU > 0.5),
as means over images.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.io import imread

from sac_wsi.classical import ClassicalSegmenter, ClassicalSettings
from sac_wsi.geometry import Box
from sac_wsi.masks import labels_from_nuclei
from sac_wsi.segmenter import RgbTile

Labels = NDArray[np.int64]
HALVES = {"all": slice(None), "even": slice(0, None, 2), "odd": slice(1, None, 2)}


def overlaps(truth: Labels, found: Labels) -> Labels:
    """Pixels shared by each true (row) and each found (column) id, 0 being background."""
    columns = int(found.max()) + 1
    joint = np.bincount((truth * columns + found).ravel(), minlength=(int(truth.max()) + 1) * columns)
    return joint.reshape(-1, columns)


def scores(truth: Labels, found: Labels) -> tuple[float, float, float]:
    """Dice of the foreground, AJI and PQ."""
    joint = overlaps(truth, found)
    true_px, found_px, shared = joint.sum(1)[1:], joint.sum(0)[1:], joint[1:, 1:]
    dice = 2 * shared.sum() / max(1, true_px.sum() + found_px.sum())
    if not shared.size:
        return float(dice), 0.0, 0.0
    union = true_px[:, None] + found_px[None, :] - shared
    iou = shared / np.maximum(union, 1)
    best = iou.argmax(1)
    hit = np.take_along_axis(iou, best[:, None], 1)[:, 0] > 0
    rows = np.flatnonzero(hit)
    unused = np.setdiff1d(np.arange(len(found_px)), best[hit])
    outer = union[rows, best[hit]].sum() + true_px[~hit].sum() + found_px[unused].sum()
    matched = iou > 0.5
    quality = iou[matched].sum() / ((np.count_nonzero(true_px) + np.count_nonzero(found_px)) / 2)
    return float(dice), float(shared[rows, best[hit]].sum() / outer), float(quality)


def shrink(rgb: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Area average over factor x factor pixels; a remainder at the far edges is dropped."""
    height, width = rgb.shape[0] // factor, rgb.shape[1] // factor
    cells = rgb[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return np.asarray(cells.mean((1, 3)).round(), np.uint8)


def labelled_images(folder: Path, half: str) -> Iterator[tuple[str, NDArray[np.uint8], Labels]]:
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
        rows, seconds, pixels = [], 0.0, 0
        for stem, rgb, truth in labelled_images(folder, args.half):
            tile = shrink(rgb, factor)
            start = time.process_time()
            nuclei = segmenter.segment([RgbTile(tile, Box.of_shape(tile.shape[:2]))])[0]
            seconds, pixels = seconds + time.process_time() - start, pixels + tile.shape[0] * tile.shape[1]
            found = np.kron(
                labels_from_nuclei(nuclei, Box.of_shape(tile.shape[:2])), np.ones((factor, factor), np.int64)
            )
            height, width = found.shape
            rows.append(scores(truth[:height, :width], found))
            print(f"{stem:26s} dice {rows[-1][0]:.3f}  aji {rows[-1][1]:.3f}  pq {rows[-1][2]:.3f}")
        dice, aji, pq = np.mean(rows, axis=0)
        print(f"{folder.name} ({args.half}, {len(rows)} images): dice {dice:.4f}  aji {aji:.4f}  pq {pq:.4f}")
        speed = pixels / seconds / 1e6
        print(f"  {speed:.1f} MPix/s per core at {args.mpp} um/px, settings {segmenter.settings}")


if __name__ == "__main__":
    main()
