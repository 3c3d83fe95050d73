"""Peak memory for several slide sizes and numbers of nuclei: it should be constant.

    python benchmarks/memory.py [--workers 1]

Each case segments a synthetic JPEG slide with an oracle and writes all outputs, in a new process. The peak is
that of the largest process, as the operating system counts it (ru_maxrss).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import in_child, measured, origin

from sac_wsi import load_config, segment_slide
from sac_wsi.testing import OracleSegmenter, SyntheticSlide

MPP = 0.25
CASES = ((10_240, 100_000), (20_480, 1_000_000), (40_960, 5_000_000), (40_960, 100_000))


def slide_of(side: int, nuclei: int) -> SyntheticSlide:
    """Return a square slide with about that many nuclei."""
    density = nuclei / (side * MPP / 1000) ** 2
    return SyntheticSlide(seed=9, shape_yx=(side, side), mpp=MPP, density_per_mm2=density)


def segment(path: Path, truth: SyntheticSlide, workers: int) -> dict[str, Any]:
    """Segment the slide; return the number of nuclei and the seconds per stage."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        run = segment_slide(
            path,
            [Path(folder) / "n.geojson.gz", Path(folder) / "n.zip", Path(folder) / "n.tif"],
            segmenter=OracleSegmenter(truth),
            workers=workers,
            config=load_config(overrides=["tissue=auto"]),
        )
    assert run.summary is not None
    return {"nuclei": run.summary.nuclei, "stages": dict(run.summary.seconds)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--case", type=int, choices=range(len(CASES)))
    options = parser.parse_args()
    if options.case is not None:
        side, nuclei = CASES[options.case]
        truth, path = slide_of(side, nuclei), options.folder / f"memory-{side}-{nuclei}.tiff"
        print(json.dumps(measured(lambda: segment(path, truth, options.workers))))
        return
    print(origin() + "\n")
    print("| pixels | nuclei | peak MB | largest worker MB | wall s | core s |")
    print("|---|--:|--:|--:|--:|--:|")
    for case, (side, nuclei) in enumerate(CASES):
        path = options.folder / f"memory-{side}-{nuclei}.tiff"
        slide_of(side, nuclei).write_tiff(path)
        result = in_child(__file__, *sys.argv[1:], "--folder", str(options.folder), "--case", str(case))
        path.unlink()
        print(
            f"| {side:,}² | {result['nuclei']:,} | {result['peak_mb']:.0f} | {result['child_peak_mb']:.0f} "
            f"| {result['wall_s']:.0f} | {result['core_s']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
