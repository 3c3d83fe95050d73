"""Segment every slide of a folder; a slide that fails does not stop the others.

    python pipelines/segment_folder.py SLIDES OUT --workers 2

For SLIDES/A.svs it writes OUT/A.svs.geojson, and OUT/A.svs.zarr with all results. Run it again to continue,
or to repeat only what failed: finished slides are recognised. The exit code is 0 if every slide succeeded, 1
if one failed, 2 if the request was wrong.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sac_wsi import SacWsiError, load_config, segment_slide
from sac_wsi.cli.options import as_overrides
from sac_wsi.engine.plan import make_segmenter
from sac_wsi.errors import RequestError
from sac_wsi.files.atomic import make_folder
from sac_wsi.slide.open import is_slide

if TYPE_CHECKING:
    from sac_wsi.engine.config import SegmentConfig


def slides_in(folder: Path) -> list[Path]:
    """Return the slides of a folder, sorted by name."""
    if not folder.is_dir():
        raise RequestError(f"There is no folder {folder}. Give the folder of the slides.")
    slides = sorted(path for path in folder.iterdir() if is_slide(path))
    if not slides:
        raise RequestError(
            f"No file in {folder} is a slide. Give the folder that holds them: its folders are not searched."
        )
    return slides


def segment_all(
    slides: list[Path], out: Path, config: SegmentConfig, mpp: float | None, workers: int | str
) -> list[str]:
    """Segment each slide; return a line for each problem."""
    problems = []
    for slide in slides:
        # with the extension: A.svs and A.ndpi need different outputs
        target = out / f"{slide.name}.geojson"
        try:
            run = segment_slide(slide, target, config=config, mpp=mpp, workers=workers)
        except SacWsiError as error:
            problems.append(f"{slide.name}: {error}")
            continue
        assert run.summary is not None
        print(f"{slide.name}: {run.summary.nuclei:,} nuclei", flush=True)
        for warning in run.summary.warnings:
            print(f"{slide.name}: warning: {warning}", file=sys.stderr)
        if run.summary.failures:
            problems.append(f"{slide.name}: {len(run.summary.failures)} tiles failed")
    return problems


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("slides", type=Path, help="folder of the slides")
    made.add_argument("out", type=Path, help="folder for the results; it is made if it is missing")
    made.add_argument("--model", help="as in `sac-wsi segment`")
    made.add_argument("--mpp", type=float, help="micrometres per pixel of all slides; else as each file says")
    made.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting, such as grid.halo_um=20; may be given several times",
    )
    made.add_argument("--workers", default="1", help="processes, or the address of a Dask cluster  [1]")
    return made


def main() -> None:
    options = parser().parse_args()
    try:
        slides = slides_in(options.slides)
        config = load_config(overrides=[*options.overrides, *as_overrides(model=options.model)])
        make_segmenter(config)  # a wrong --model is one error, not one for each slide
        make_folder(options.out)
    except SacWsiError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    workers = int(options.workers) if options.workers.isdigit() else options.workers
    problems = segment_all(slides, options.out, config, options.mpp, workers)
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
