"""How long it takes to score an image.

    python benchmarks/metrics.py [--side 1000] [--nuclei 1000] [--rounds 7]

Nuclei are discs on a jittered lattice; the prediction moves each a little and loses one in ten.
Prints Markdown; medians after one call that compiles.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from machine import origin
from numpy.typing import NDArray

from sac_wsi.evaluate.metrics import score_image
from sac_wsi.evaluate.metrics.instance import aji, aji_plus, detection_f1, panoptic_quality
from sac_wsi.evaluate.metrics.object_level import object_dice, object_f1, object_hausdorff
from sac_wsi.evaluate.metrics.overlap import compute_overlap

if TYPE_CHECKING:
    from collections.abc import Callable

Labels = NDArray[np.uint16]


def discs(side: int, count: int, seed: int, moved: float) -> Labels:
    """``moved``: how far each disc is from where it would be, in radii."""
    places, changes = np.random.default_rng(0), np.random.default_rng(seed)
    columns = int(np.ceil(count**0.5))
    pitch = side / columns
    labels = np.zeros((side, side), np.uint16)
    y, x = np.ogrid[:side, :side]
    for i in range(count):
        cy, cx = (np.array(divmod(i, columns)) + places.uniform(0.2, 0.8, 2)) * pitch
        radius = places.uniform(0.25, 0.55) * pitch
        cy, cx = np.array([cy, cx]) + changes.uniform(-moved, moved, 2) * radius
        if changes.random() < 0.1 * (moved > 0):
            continue
        rows = slice(max(0, int(cy - radius)), int(cy + radius) + 2)
        cols = slice(max(0, int(cx - radius)), int(cx + radius) + 2)
        labels[rows, cols][(y[rows] - cy) ** 2 + (x[:, cols] - cx) ** 2 <= radius**2] = i + 1
    return labels


def seconds(work: Callable[[], Any], rounds: int) -> float:
    work()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--side", type=int, default=1000)
    parser.add_argument("--nuclei", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    truth, pred = discs(args.side, args.nuclei, 1, 0.0), discs(args.side, args.nuclei, 2, 0.5)
    found = compute_overlap(truth, pred)
    works: dict[str, Callable[[], Any]] = {
        "overlap": lambda: compute_overlap(truth, pred),
        "AJI": lambda: aji(found),
        "AJI+": lambda: aji_plus(found),
        "PQ": lambda: panoptic_quality(found),
        "detection F1": lambda: detection_f1(found),
        "**all of these, Dice and IoU**": lambda: score_image(truth, pred),
        "object F1": lambda: object_f1(found),
        "object Dice": lambda: object_dice(found),
        "object Hausdorff": lambda: object_hausdorff(found, truth, pred),
    }
    print(f"{origin()}\n")
    print(
        f"{args.side} x {args.side} pixels, {len(found.truth_ids)} true and {len(found.pred_ids)} predicted "
        f"nuclei, {len(found.shared_px)} pairs that overlap\n"
    )
    print("| measure | ms |\n|---|--:|")
    for name, work in works.items():
        print(f"| {name} | {1e3 * seconds(work, args.rounds):.1f} |")


if __name__ == "__main__":
    main()
