"""Speed of the engine compared with plain reading, and the cost per nucleus.

    python benchmarks/throughput.py [--side 20480] [--workers 1] [--rounds 3]

Measures three cases in several rounds, each in a new process: openslide-python reads the same tiles as the
engine (with as many threads as the engine has workers); the engine runs with a segmenter that finds nothing;
the engine runs with an oracle, all measurements and outputs. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from machine import in_child, measured, origin

from sac_wsi import load_config, segment_slide
from sac_wsi.testing import NothingSegmenter, OracleSegmenter, SyntheticSlide
from sac_wsi.tiling.grid import make_grid

CASES = ("read", "nothing", "oracle")


def plain_reading(slide: Path, side: int, threads: int) -> dict[str, Any]:
    """Read the tiles of the slide with OpenSlide alone; return the megapixels."""
    from openslide import OpenSlide

    grid = make_grid((side, side), 0.25, load_config().grid)

    def read(worker: int) -> int:
        pixels = 0
        with OpenSlide(slide) as handle:
            for i in range(worker, grid.tile_count, threads):
                box = grid.tile(i).read
                rgb = np.asarray(
                    handle.read_region((box.x0, box.y0), 0, (box.width, box.height)).convert("RGB")
                )
                pixels += rgb.shape[0] * rgb.shape[1]
        return pixels

    with ThreadPoolExecutor(threads) as pool:
        return {"mpix": sum(pool.map(read, range(threads))) / 1e6}


def engine(slide: Path, truth: SyntheticSlide, case: str, workers: int) -> dict[str, Any]:
    """Segment the slide; return the number of nuclei and the seconds per stage."""
    segmenter = NothingSegmenter() if case == "nothing" else OracleSegmenter(truth)
    with tempfile.TemporaryDirectory(dir=slide.parent) as folder:
        run = segment_slide(
            slide,
            [Path(folder) / "n.geojson.gz"],
            segmenter=segmenter,
            workers=workers,
            config=load_config(overrides=["tissue=none"]),
        )
    assert run.summary is not None
    return {"nuclei": run.summary.nuclei, "stages": dict(run.summary.seconds)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=20_480)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--only", choices=CASES)
    options = parser.parse_args()
    truth = SyntheticSlide(seed=5, shape_yx=(options.side, options.side), density_per_mm2=4000)
    slide = options.folder / f"synthetic-{options.side}.tiff"
    if options.only == "read":
        print(json.dumps(measured(lambda: plain_reading(slide, options.side, options.workers))))
        return
    if options.only:
        print(json.dumps(measured(lambda: engine(slide, truth, options.only, options.workers))))
        return
    if not slide.exists():
        truth.write_tiff(slide)
    _report(options, [*sys.argv[1:], "--folder", str(options.folder)])


def _report(options: argparse.Namespace, arguments: list[str]) -> None:
    rounds = [
        {case: in_child(__file__, *arguments, "--only", case) for case in CASES}
        for _ in range(options.rounds)
    ]
    print(origin() + "\n")
    print(
        f"{options.side:,}² pixels, {options.workers} worker(s) or thread(s), median of {options.rounds}.\n"
    )
    print("| | wall s | core s | peak MB |")
    print("|---|--:|--:|--:|")
    titles = ("openslide-python, the same tiles", "engine, nothing found", "engine, oracle, all outputs")
    for case, title in zip(CASES, titles, strict=True):
        wall, core, peak = (
            statistics.median(r[case][key] for r in rounds) for key in ("wall_s", "core_s", "peak_mb")
        )
        print(f"| {title} | {wall:.2f} | {core:.2f} | {peak:.0f} |")
    speed = statistics.median(r["read"]["wall_s"] / r["nothing"]["wall_s"] for r in rounds)
    nuclei = rounds[0]["oracle"]["nuclei"]
    each = statistics.median(r["oracle"]["core_s"] - r["nothing"]["core_s"] for r in rounds) / nuclei * 1e6
    print(f"\n* finding nothing: **{100 * speed:.0f} %** of the speed of plain reading")
    print(f"* {nuclei:,} nuclei: **{each:.0f} core-µs each** on top\n")
    stages: dict[str, float] = rounds[0]["oracle"]["stages"]
    print("| stage | s (oracle, first round) | µs per nucleus |")
    print("|---|--:|--:|")
    for stage, seconds in stages.items():
        print(f"| {stage} | {seconds:.2f} | {seconds / nuclei * 1e6:.1f} |")


if __name__ == "__main__":
    main()
