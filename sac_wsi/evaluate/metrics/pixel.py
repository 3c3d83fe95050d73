"""Measures per pixel: foreground (any nucleus) against background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sac_wsi.evaluate.metrics.overlap import Overlap


@dataclass(frozen=True)
class PixelCounts:
    """Number of foreground pixels of the truth, of the prediction, and of both at the same pixel."""

    truth_px: int
    pred_px: int
    shared_px: int


def pixel_counts(overlap: Overlap) -> PixelCounts:
    """Return the numbers of foreground pixels of one image."""
    return PixelCounts(int(overlap.truth_px.sum()), int(overlap.pred_px.sum()), int(overlap.shared_px.sum()))


def dice(counts: PixelCounts) -> float:
    """Return the Dice coefficient 2 |T∩P| / (|T| + |P|) of one image, which equals its pixel F1.

    >>> dice(PixelCounts(4, 2, 2)), dice(PixelCounts(0, 0, 0))
    (0.6666666666666666, 1.0)
    """
    both = counts.truth_px + counts.pred_px
    return 2 * counts.shared_px / both if both else 1.0


def iou(counts: PixelCounts) -> float:
    """Return the Jaccard index |T∩P| / |T∪P| of one image.

    >>> iou(PixelCounts(4, 2, 2))
    0.5
    """
    union = counts.truth_px + counts.pred_px - counts.shared_px
    return counts.shared_px / union if union else 1.0


def f1_pooled(images: Iterable[PixelCounts]) -> float:
    """Return the F1 of the pixels of all images together: an image with more foreground weighs more.

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
