"""Compare the modes of a model on labelled images.

    python benchmarks/shipped_quality.py sac-tiny --data configs/train/unet_monuseg.yaml --part all \\
        --data-set data.images=IMAGES --data-set data.labels=LABELS --mode prompter --mode prompter,tta=8

Each --mode is one row: a mode, then any `sac.*` settings that differ from the model's own. The time is that
of the whole evaluation after the model is loaded, with reading and scoring. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from machine import origin

from sac_wsi.engine.config import load_config
from sac_wsi.engine.plan import make_segmenter
from sac_wsi.evaluate.model import evaluate_model, tile_of
from sac_wsi.geometry import Box
from sac_wsi.settings.read import read_settings
from sac_wsi.settings.typed import build
from sac_wsi.tiling.segmenter import RgbTile, Segmenter
from sac_wsi.train.config import DataSettings
from sac_wsi.train.source import open_source

if TYPE_CHECKING:
    from sac_wsi.evaluate.metrics import Scores

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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True, help="a training config, for its data")
    parser.add_argument("--data-set", action="append", default=[], help="data.KEY=VALUE")
    parser.add_argument("--part", choices=("train", "val", "test", "all"), default="val")
    parser.add_argument("--mode", action="append", help="default: as it ships")
    options = parser.parse_args()
    settings = build(DataSettings, read_settings(options.data, options.data_set)["data"], "data.")
    print(origin() + "\n")
    print(f"| {options.model} on {options.part} | {' | '.join(MEASURES)} | core s |")
    print(f"|---|{'--:|' * (len(MEASURES) + 1)}")
    for mode in options.mode or ["as it ships"]:
        segmenter = segmenter_of(options.model, mode)
        side, _ = tile_of(segmenter)
        images = open_source(settings, segmenter.mpp, side).part(options.part)
        segmenter.segment([RgbTile(np.full((side, side, 3), 230, np.uint8), Box(0, 0, side, side))])  # loads
        begin = time.process_time()
        scores = evaluate_model(segmenter, images)
        print(row(mode, scores, time.process_time() - begin), flush=True)


if __name__ == "__main__":
    main()
