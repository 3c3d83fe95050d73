"""Segment images at their own resolution and at twice that, and look at the median area of the nuclei.

    python benchmarks/plausibility.py tnbc/images:0.25 nuinsseg/images:0.1625 monuseg/images:0.25 --images 40

Each image is cut to its first 512 x 512 pixels. Counts how many lie outside the limits of
sac_wsi/engine/plausible.py: at their own resolution these are false alarms. Prints Markdown.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from machine import origin
from PIL import Image

from sac_wsi import load_config, segment_slide
from sac_wsi.engine.plan import make_segmenter
from sac_wsi.engine.plausible import LARGEST_UM2, SMALLEST_UM2

SIDE_PX = 512
FEWEST = 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", metavar="FOLDER:MPP")
    parser.add_argument("--images", type=int, default=40, help="of each folder, chosen at random")
    options = parser.parse_args()
    print(origin())
    print(f"| images | stated / true µm per px | median area of an image, µm² | outside {SMALLEST_UM2:g} to "
          f"{LARGEST_UM2:g} |\n|---|--:|---|--:|")  # fmt: skip
    config = load_config(overrides=["tissue=none"])
    segmenter = make_segmenter(config)
    for named in options.folders:
        folder, _, mpp = named.rpartition(":")
        files = sorted(path for path in Path(folder).iterdir() if path.is_file())
        chosen = random.Random(0).sample(files, min(options.images, len(files)))
        for factor in (1.0, 2.0):
            medians = []
            for path in chosen:
                with TemporaryDirectory() as work:
                    image = Path(work, "image.png")
                    Image.open(path).convert("RGB").crop((0, 0, SIDE_PX, SIDE_PX)).save(image)
                    run = segment_slide(
                        image,
                        Path(work, "n.geojson"),
                        config=config,
                        segmenter=segmenter,
                        mpp=float(mpp) * factor,
                    )
                    if len(run.nuclei) >= FEWEST:
                        medians.append(float(np.median(run.nuclei["Area µm^2"])))
            low, middle, high = np.quantile(medians, (0, 0.5, 1))
            outside = sum(not SMALLEST_UM2 <= median <= LARGEST_UM2 for median in medians)
            print(
                f"| {Path(folder).parent.name} | {factor:g} | {low:.1f} to {high:.1f}, half over "
                f"{middle:.1f} | {outside} of {len(medians)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
