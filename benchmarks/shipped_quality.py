"""Compare the modes of a model on labelled images.

    python benchmarks/shipped_quality.py sac-tiny --data configs/train/unet_monuseg.yaml --part all \\
        --data-set data.images=IMAGES --data-set data.labels=LABELS --mode prompter --mode prompter,tta=8

Each --mode is one row: a mode, then any `sac.*` settings that differ from the model's own. The time is that
of the whole evaluation after the model is loaded, with reading and scoring. --groups adds a table with a row
for each part of the file names before a last number, such as an organ; --shapes adds area and solidity
(area divided by that of the convex hull) of the nuclei, true and found. Prints Markdown.
"""

from __future__ import annotations

import argparse
import math
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from machine import origin
from skimage.measure import regionprops_table

from sac_wsi.engine.config import load_config
from sac_wsi.engine.plan import make_segmenter
from sac_wsi.evaluate.metrics import summarise
from sac_wsi.evaluate.model import find_function, tile_of
from sac_wsi.evaluate.score_images import score_images
from sac_wsi.geometry import Box
from sac_wsi.settings.read import read_settings
from sac_wsi.settings.typed import build
from sac_wsi.tiling.segmenter import RgbTile, Segmenter
from sac_wsi.train.config import DataSettings
from sac_wsi.train.source import open_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sac_wsi.evaluate.metrics import Scores
    from sac_wsi.evaluate.score_images import ScoredImage

MEASURES = ("dice", "f1_pooled", "aji", "pq", "dq", "sq", "f1_det")


def segmenter_of(model: str, mode: str) -> Segmenter:
    """Return the model in a mode (prompter, semantic, instance) with more settings, or "as it ships"."""
    if mode == "classical":
        return make_segmenter(load_config(overrides=["model=classical"]))
    first, *more = mode.split(",")
    chosen = [] if first == "as it ships" else [f"sac.mode={first}"]
    return make_segmenter(
        load_config(overrides=[f"model={model}", *chosen, *(f"sac.{setting}" for setting in more)])
    )


def row(mode: str, scores: Scores, core_s: float) -> str:
    """Return the line of the table."""
    values = {**scores.mean, "f1_pooled": scores.f1_pooled}
    cells = [f"{100 * values[name]:.1f}" for name in MEASURES]
    interval = scores.intervals["pq"]
    cells[MEASURES.index("pq")] += f" ({100 * interval.low:.1f} to {100 * interval.high:.1f})"
    return f"| {mode} | {' | '.join(cells)} | {core_s:.0f} |"


def print_groups(scored: Sequence[ScoredImage]) -> None:
    """Print the mean scores of the images whose names differ in the last number only."""
    groups: dict[str, list[ScoredImage]] = {}
    for image in scored:
        name = re.sub(r"_?\d+(@.*)?$", "", image.name.split("/")[-1]).replace("_", " ")
        groups.setdefault(name, []).append(image)
    print("\n| group | images | nuclei | Dice | AJI | PQ |\n|---|--:|--:|--:|--:|--:|")
    for name, images in sorted(groups.items()):
        mean = summarise([image.scores for image in images]).mean
        nuclei = sum(len(np.unique(image.truth)) - 1 for image in images)
        cells = " | ".join(f"{100 * mean[key]:.1f}" for key in ("dice", "aji", "pq"))
        print(f"| {name} | {len(images)} | {nuclei:,} | {cells} |")


def print_shapes(scored: Sequence[ScoredImage], mpp: Sequence[float]) -> None:
    """Print quantiles of the area and the solidity of true and found nuclei."""
    print("\n| | nuclei | area µm²: 5 % | 50 % | 95 % | under 10 µm² | solidity: 5 % | 50 % |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for what in ("truth", "pred"):
        area, solidity = [], []
        for image, um in zip(scored, mpp, strict=True):
            table = regionprops_table(np.asarray(getattr(image, what)), properties=("area", "solidity"))
            area += (table["area"] * um**2).tolist()
            solidity += table["solidity"].tolist()
        areas = " | ".join(f"{value:.1f}" for value in np.quantile(area, (0.05, 0.5, 0.95)))
        solid = " | ".join(f"{value:.3f}" for value in np.quantile(solidity, (0.05, 0.5)))
        small = 100 * np.mean(np.array(area) < 10)
        print(f"| {what} | {len(area):,} | {areas} | {small:.1f} % | {solid} |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True, help="a training config, for its data")
    parser.add_argument("--data-set", action="append", default=[], help="data.KEY=VALUE")
    parser.add_argument("--part", choices=("train", "val", "test", "all"), default="val")
    parser.add_argument("--groups", action="store_true", help="a table by organ, or other part of the names")
    parser.add_argument("--shapes", action="store_true", help="area and solidity of the nuclei")
    parser.add_argument("--mode", action="append", help="default: as it ships")
    options = parser.parse_args()
    settings = build(DataSettings, read_settings(options.data, options.data_set)["data"], "data.")
    print(origin() + "\n")
    print(f"| {options.model} on {options.part} | {' | '.join(MEASURES)} | core s |")
    print(f"|---|{'--:|' * (len(MEASURES) + 1)}")
    for mode in options.mode or ["as it ships"]:
        segmenter = segmenter_of(options.model, mode)
        side, halo_um = tile_of(segmenter)
        images = open_source(settings, segmenter.mpp, side).part(options.part)
        segmenter.segment([RgbTile(np.full((side, side, 3), 230, np.uint8), Box(0, 0, side, side))])  # loads
        begin = time.process_time()
        halo_px = math.ceil(halo_um / segmenter.mpp)
        scored = list(score_images(find_function(segmenter, 0), images, tile_px=side, halo_px=halo_px))
        scores = summarise([image.scores for image in scored])
        print(row(mode, scores, time.process_time() - begin), flush=True)
        if options.groups:
            print_groups(scored)
        if options.shapes:
            print_shapes(scored, [images.read(i).zoom * segmenter.mpp for i in range(len(images))])


if __name__ == "__main__":
    main()
