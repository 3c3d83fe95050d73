"""Segment every slide of a folder; a slide that fails does not stop the others.

    python pipelines/segment_folder.py SLIDES OUT --workers 2

Writes OUT/<name>.geojson and OUT/<name>.zarr. Run it again to continue, or to repeat only what failed:
finished slides are recognised. The exit code is 0 if every slide succeeded, 1 otherwise.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sac_wsi import SacWsiError, segment_slide
from sac_wsi.slide.open import is_slide


def segment_folder(slides: Path, out: Path, workers: int | str = 1) -> list[str]:
    """Segment each slide; return a line for each problem."""
    problems = []
    for slide in sorted(path for path in slides.iterdir() if is_slide(path)):
        # with the extension: A.svs and A.ndpi need different outputs
        try:
            run = segment_slide(slide, out / f"{slide.name}.geojson", workers=workers)
        except SacWsiError as error:
            problems.append(f"{slide.name}: {error}")
            continue
        assert run.summary is not None
        print(f"{slide.name}: {run.summary.nuclei:,} nuclei", flush=True)
        if run.summary.failures:
            problems.append(f"{slide.name}: {len(run.summary.failures)} tiles failed")
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(description="Segment every slide of a folder.")
    parser.add_argument("slides", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", default="1", help="processes, or the address of a Dask cluster")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    workers = int(options.workers) if options.workers.isdigit() else options.workers
    problems = segment_folder(options.slides, options.out, workers)
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
