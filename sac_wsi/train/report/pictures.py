"""Images of the report: true and predicted nuclei, outlined on the tissue."""

from __future__ import annotations

import base64
import io
import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy.ndimage import binary_dilation

from sac_wsi.charts.markup import tag
from sac_wsi.datasets.contact_sheet import borders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup
    from numpy.typing import NDArray

    from sac_wsi.evaluate.score_images import ScoredImage

TRUTH_RGB, FOUND_RGB = (255, 225, 25), (0, 120, 255)
"""Yellow and wide, blue and thin: different from both stains and with every kind of colour blindness."""
EACH = 3
LONGEST_PX = 700
"""Of a larger image only the middle is shown: in a shrunk image the outlines would touch."""
_MOST_ZOOM = 4
_WIDE, _THIN = np.ones((3, 3)), np.ones((2, 2))


def best_and_worst(images: Sequence[ScoredImage]) -> tuple[list[ScoredImage], list[ScoredImage]]:
    """Return the best and the worst images by PQ, the extreme first. No image is in both lists."""
    ranked = sorted(images, key=lambda image: -1 if math.isnan(image.scores.pq) else image.scores.pq)
    worst = ranked[: min(EACH, len(ranked) // 2)]
    return ranked[::-1][: min(EACH, len(ranked) - len(worst))], worst


def figure(image: ScoredImage) -> Markup:
    """Return the outlined image with a caption."""
    scores = image.scores
    counts = f"{scores.truth_nuclei:,} nuclei in the truth, {scores.pred_nuclei:,} found"
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
            alt=f"{image.name}: outlines of {counts}. PQ {scores.pq:.3f}.",
        ),
        tag(
            "figcaption",
            tag("b", image.name),
            tag("span", f"PQ {scores.pq:.3f}, Dice {scores.dice:.3f}, AJI {scores.aji:.3f}"),
            tag("span", counts + part),
        ),
    )


def outlined(image: ScoredImage) -> NDArray[np.uint8]:
    """Return the image with both outlines, at most ``LONGEST_PX`` on each side."""
    middle = tuple(_middle(length) for length in image.truth.shape)
    rgb = image.rgb[middle]
    height, width = rgb.shape[:2]
    zoom = min(_MOST_ZOOM, LONGEST_PX / max(height, width))
    size_yx = max(1, round(zoom * height)), max(1, round(zoom * width))
    drawn = np.array(Image.fromarray(rgb).resize(size_yx[::-1], Image.Resampling.LANCZOS))
    # the wide line first: where both coincide, the thin line is drawn over it
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
    # no chroma subsampling, which blurs thin coloured lines; not optimised, since Pillow then fails if the
    # result needs more than one byte per pixel
    Image.fromarray(rgb).save(file, "JPEG", quality=80, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
