"""Foreground against background: which pixels are in any nucleus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sac_wsi.evaluate.metrics.overlap import Overlap


@dataclass(frozen=True)
class PixelCounts:
    """Foreground pixels of the truth, of the prediction, and of both at once."""

    truth_px: int
    pred_px: int
    shared_px: int


def pixel_counts(found: Overlap) -> PixelCounts:
    return PixelCounts(int(found.truth_px.sum()), int(found.pred_px.sum()), int(found.shared_px.sum()))


def dice(counts: PixelCounts) -> float:
    """2 |T∩P| / (|T| + |P|) of one image: the same number as its pixel F1.

    >>> dice(PixelCounts(4, 2, 2)), dice(PixelCounts(0, 0, 0))
    (0.6666666666666666, 1.0)
    """
    both = counts.truth_px + counts.pred_px
    return 2 * counts.shared_px / both if both else 1.0


def iou(counts: PixelCounts) -> float:
    """|T∩P| / |T∪P| of one image.

    >>> iou(PixelCounts(4, 2, 2))
    0.5
    """
    union = counts.truth_px + counts.pred_px - counts.shared_px
    return counts.shared_px / union if union else 1.0


def f1_pooled(images: Iterable[PixelCounts]) -> float:
    """F1 of the pixels of all images together, so that an image counts by its foreground.

    >>> f1_pooled([PixelCounts(4, 4, 4), PixelCounts(1, 1, 0)])
    0.8
    """
    counts = list(images)
    return dice(
        PixelCounts(
            sum(image.truth_px for image in counts),
            sum(image.pred_px for image in counts),
            sum(image.shared_px for image in counts),
        )
    )
