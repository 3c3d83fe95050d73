"""The scores of one image and of a set of images, and their JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from sac_wsi.evaluate.metrics.bootstrap import Floats, Interval, interval, resampled_means
from sac_wsi.evaluate.metrics.instance import aji, aji_plus, detection_f1, panoptic_quality
from sac_wsi.evaluate.metrics.object_level import ObjectScores, object_scores
from sac_wsi.evaluate.metrics.overlap import LabelMap, compute_overlap
from sac_wsi.evaluate.metrics.pixel import PixelCounts, dice, f1_pooled, iou, pixel_counts

MEASURES = ("dice", "iou", "aji", "aji_plus", "pq", "dq", "sq", "f1_det")
OBJECT_MEASURES = ("f1", "dice", "hausdorff_px")


@dataclass(frozen=True)
class ImageScores:
    """Scores of one image, from 0 to 1. ``missing``: it had no prediction, so an empty one was scored."""

    name: str
    dice: float
    iou: float
    aji: float
    aji_plus: float
    pq: float
    dq: float
    sq: float
    f1_det: float
    truth_nuclei: int
    pred_nuclei: int
    pixels: PixelCounts
    missing: bool = False
    objects: ObjectScores | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the scores as a dictionary of plain values."""
        values = asdict(self)
        values.update(values.pop("pixels"))
        if self.objects is None:
            del values["objects"]
        return values


@dataclass(frozen=True)
class ObjectMeans:
    """Means of the GlaS measures. If no image has a distance, its mean and interval are None."""

    mean: Mapping[str, float | None]
    intervals: Mapping[str, Interval | None]

    def to_json(self) -> dict[str, Any]:
        """Return the means and intervals as a dictionary of plain values."""
        return {"mean": dict(self.mean), "interval_95": _intervals_json(self.intervals)}


@dataclass(frozen=True)
class Scores:
    """Scores of a set of images.

    mean        mean of each of ``MEASURES``; every image has the same weight
    f1_pooled   pixel F1 of all images together
    intervals   95 % intervals of each of ``MEASURES`` and of f1_pooled; None for fewer than two images
    objects     the GlaS measures, if they were requested
    extra       predictions without true labels, which were not scored
    """

    images: tuple[ImageScores, ...]
    mean: Mapping[str, float]
    f1_pooled: float
    intervals: Mapping[str, Interval | None]
    objects: ObjectMeans | None = None
    extra: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the images without a prediction."""
        return tuple(image.name for image in self.images if image.missing)

    def to_json(self) -> dict[str, Any]:
        """Return the scores as a dictionary of plain values."""
        values: dict[str, Any] = {
            "mean": dict(self.mean),
            "f1_pooled": self.f1_pooled,
            "interval_95": _intervals_json(self.intervals),
            "missing": list(self.missing),
            "extra": list(self.extra),
        }
        if self.objects is not None:
            values["objects"] = self.objects.to_json()
        values["images"] = [image.to_json() for image in self.images]
        return values


def score_image(truth: LabelMap, pred: LabelMap, *, name: str = "", objects: bool = False) -> ImageScores:
    """Return all measures of one prediction; ``objects`` adds those of GlaS.

    >>> score_image(np.array([[1, 1, 2, 2]]), np.array([[5, 5, 0, 0]])).pq
    0.6666666666666666
    """
    overlap = compute_overlap(truth, pred)
    pixels = pixel_counts(overlap)
    quality = panoptic_quality(overlap)
    return ImageScores(
        name=name,
        dice=dice(pixels),
        iou=iou(pixels),
        aji=aji(overlap),
        aji_plus=aji_plus(overlap),
        pq=quality.pq,
        dq=quality.dq,
        sq=quality.sq,
        f1_det=detection_f1(overlap),
        truth_nuclei=len(overlap.truth_ids),
        pred_nuclei=len(overlap.pred_ids),
        pixels=pixels,
        objects=object_scores(overlap, truth, pred) if objects else None,
    )


def score_missing(truth: LabelMap, *, name: str = "", objects: bool = False) -> ImageScores:
    """Return the scores of an image without a prediction: those of an empty prediction."""
    empty = np.broadcast_to(np.zeros((), np.uint8), truth.shape)
    return replace(score_image(truth, empty, name=name, objects=objects), missing=True)


def summarise(images: Sequence[ImageScores], *, extra: Sequence[str] = (), seed: int = 0) -> Scores:
    """Return the means over at least one image, with bootstrap intervals that depend on ``seed``."""
    if not images:
        raise ValueError("summarise() got no image; needed at least one")
    rows = np.array([[getattr(image, measure) for measure in MEASURES] for image in images])
    pixels = np.array([list(asdict(image.pixels).values()) for image in images], np.float64)
    return Scores(
        images=tuple(images),
        mean=dict(zip(MEASURES, rows.mean(axis=0).tolist(), strict=True)),
        f1_pooled=f1_pooled(image.pixels for image in images),
        intervals=_intervals(rows, pixels, seed),
        objects=_object_means([image.objects for image in images if image.objects is not None], seed),
        extra=tuple(extra),
    )


def _intervals(rows: Floats, pixels: Floats, seed: int) -> dict[str, Interval | None]:
    if len(rows) < 2:
        return dict.fromkeys((*MEASURES, "f1_pooled"))
    drawn = resampled_means(np.concatenate([rows, pixels], axis=1), seed)
    found: dict[str, Interval | None] = {m: interval(drawn[:, i]) for i, m in enumerate(MEASURES)}
    truth_px, pred_px, shared_px = drawn[:, len(MEASURES) :].T
    both = truth_px + pred_px
    found["f1_pooled"] = interval(np.divide(2 * shared_px, both, out=np.ones_like(both), where=both > 0))
    return found


def _object_means(images: Sequence[ObjectScores], seed: int) -> ObjectMeans | None:
    if not images:
        return None
    mean: dict[str, float | None] = {}
    intervals: dict[str, Interval | None] = {}
    for measure in OBJECT_MEASURES:
        values = [getattr(image, measure) for image in images]
        column = np.array([value for value in values if value is not None])[:, None]
        mean[measure] = float(column.mean()) if len(column) else None
        intervals[measure] = interval(resampled_means(column, seed)) if len(column) > 1 else None
    return ObjectMeans(mean, intervals)


def _intervals_json(intervals: Mapping[str, Interval | None]) -> dict[str, list[float] | None]:
    return {name: found.to_json() if found else None for name, found in intervals.items()}
