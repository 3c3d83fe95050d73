"""Images of the report: what is there and what was found, outlined on the tissue."""

from __future__ import annotations

import base64
import io
import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy.ndimage import binary_dilation

from sac_wsi.datasets.sheet import borders
from sac_wsi.train.report.markup import Markup, tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sac_wsi.evaluate.score_images import ScoredImage

TRUTH_RGB, FOUND_RGB = (255, 225, 25), (0, 120, 255)
"""Yellow, wide; blue, thin: apart in every kind of colour blindness, and from both stains."""
EACH = 3
LONGEST_PX = 700
"""A larger image shows its middle: shrunk, its outlines would run together."""
_MOST_ZOOM = 4
_WIDE, _THIN = np.ones((3, 3)), np.ones((2, 2))


def best_and_worst(images: Sequence[ScoredImage]) -> tuple[list[ScoredImage], list[ScoredImage]]:
    """By PQ, the extreme first; of few images half each, so that none is shown twice."""
    ranked = sorted(images, key=lambda image: -1 if math.isnan(image.scores.pq) else image.scores.pq)
    worst = ranked[: min(EACH, len(ranked) // 2)]
    return ranked[::-1][: min(EACH, len(ranked) - len(worst))], worst


def figure(image: ScoredImage) -> Markup:
    said = image.scores
    counts = f"{said.truth_nuclei:,} nuclei in the truth, {said.pred_nuclei:,} found"
    height, width = image.truth.shape
    part = (
        f"; shown: the middle {LONGEST_PX} px of {width} x {height}"
        if max(height, width) > LONGEST_PX
        else ""
    )
    return tag(
        "figure",
        tag(
            "img",
            src=_jpeg_uri(outlined(image)),
            alt=f"{image.name}: outlines of {counts}. PQ {said.pq:.3f}.",
        ),
        tag(
            "figcaption",
            tag("b", image.name),
            tag("span", f"PQ {said.pq:.3f}, Dice {said.dice:.3f}, AJI {said.aji:.3f}"),
            tag("span", counts + part),
        ),
    )


def outlined(image: ScoredImage) -> NDArray[np.uint8]:
    """The picture at the size of the report, at most ``LONGEST_PX`` a side, with both outlines."""
    middle = tuple(_middle(length) for length in image.truth.shape)
    rgb = image.rgb[middle]
    height, width = rgb.shape[:2]
    zoom = min(_MOST_ZOOM, LONGEST_PX / max(height, width))
    size_yx = max(1, round(zoom * height)), max(1, round(zoom * width))
    drawn = np.array(Image.fromarray(rgb).resize(size_yx[::-1], Image.Resampling.LANCZOS))
    # wide first: where both run together, the thin line lies within the wide one
    drawn[_outlines(image.truth[middle], size_yx, _WIDE)] = TRUTH_RGB
    drawn[_outlines(image.pred[middle], size_yx, _THIN)] = FOUND_RGB
    return drawn


def _middle(length: int) -> slice:
    start = max(0, (length - LONGEST_PX) // 2)
    return slice(start, start + LONGEST_PX)


def _outlines(
    labels: NDArray[np.integer], size_yx: tuple[int, int], pen: NDArray[np.float64]
) -> NDArray[np.bool_]:
    y, x = (np.arange(new) * old // new for new, old in zip(size_yx, labels.shape, strict=True))
    return np.asarray(binary_dilation(borders(labels[np.ix_(y, x)].astype(np.int32)), pen))


def _jpeg_uri(rgb: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    # no subsampling: it would smear thin coloured lines; not optimised: Pillow then fails on what takes more
    # than a byte a pixel
    Image.fromarray(rgb).save(file, "JPEG", quality=80, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
