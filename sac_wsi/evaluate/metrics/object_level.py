"""The three measures of the GlaS challenge (Sirinukunwattana et al., Med. Image Anal. 35 (2017) 489).

They are computed as in the challenge's own program (evaluation_v6, Matlab). The partner of an object is the
object of the other map that shares most pixels with it (of equal ones the lowest id); several objects can
have the same partner. Dice and Hausdorff distance are each the mean of two weighted means: one over the
predicted and one over the true objects. The weight of an object is its area divided by the foreground area
of its map.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from sac_wsi.evaluate.metrics.overlap import LabelMap, Overlap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_NONE = -1


@dataclass(frozen=True)
class ObjectScores:
    """The GlaS measures of one image. hausdorff_px is None if exactly one of the maps is empty."""

    f1: float
    dice: float
    hausdorff_px: float | None


def object_scores(overlap: Overlap, truth: LabelMap, pred: LabelMap) -> ObjectScores:
    """Return the three GlaS measures of one image."""
    return ObjectScores(object_f1(overlap), object_dice(overlap), object_hausdorff(overlap, truth, pred))


def object_f1(overlap: Overlap) -> float:
    """Return the F1 of predicted objects; one is correct if it covers more than half of its partner.

    The paper says "at least" half, but the program that made its tables requires more than half. So a true
    object cannot be found twice.
    """
    if (empty_score := overlap.empty_score) is not None:
        return empty_score
    pairs = _partner_pairs(overlap.swapped())
    correct = 2 * pairs.shared_px > pairs.pred_px[pairs.pred_row]
    return float(2 * np.count_nonzero(correct) / (len(overlap.truth_ids) + len(overlap.pred_ids)))


def object_dice(overlap: Overlap) -> float:
    """Return the mean Dice of each object with its partner (0 without one), weighted by area."""
    if (empty_score := overlap.empty_score) is not None:
        return empty_score
    return (_weighted_dice(overlap) + _weighted_dice(overlap.swapped())) / 2


def object_hausdorff(overlap: Overlap, truth: LabelMap, pred: LabelMap) -> float | None:
    """Return the mean Hausdorff distance in pixels of each object to its partner, weighted by area.

    An object without partner is compared with the object of the other map that has the smallest distance.
    The result is None if exactly one map is empty, because the distance is infinite.
    """
    if (empty_score := overlap.empty_score) is not None:
        return 0.0 if empty_score else None
    true_shapes, pred_shapes = _Shapes(truth, overlap.truth_ids), _Shapes(pred, overlap.pred_ids)
    return (
        _weighted_hausdorff(overlap, true_shapes, pred_shapes)
        + _weighted_hausdorff(overlap.swapped(), pred_shapes, true_shapes)
    ) / 2


def _partner_pairs(overlap: Overlap) -> Overlap:
    """Return the same objects with only those pairs in which the second is the partner of the first."""
    order = np.lexsort((-overlap.shared_px, overlap.truth_row))
    rows, first = np.unique(overlap.truth_row[order], return_index=True)
    kept = order[first]
    return Overlap(
        overlap.truth_ids,
        overlap.pred_ids,
        overlap.truth_px,
        overlap.pred_px,
        rows,
        overlap.pred_row[kept],
        overlap.shared_px[kept],
    )


def _weighted_dice(overlap: Overlap) -> float:
    pairs = _partner_pairs(overlap)
    own_px = pairs.truth_px[pairs.truth_row]
    dice = 2 * pairs.shared_px / (own_px + pairs.pred_px[pairs.pred_row])
    return float((own_px * dice).sum() / pairs.truth_px.sum())


def _weighted_hausdorff(overlap: Overlap, own: _Shapes, others: _Shapes) -> float:
    pairs = _partner_pairs(overlap)
    partner = np.full(len(pairs.truth_ids), _NONE)
    partner[pairs.truth_row] = pairs.pred_row
    distance = [
        _nearest(own, row, others) if other == _NONE else _hausdorff(own, row, others, int(other))
        for row, other in enumerate(partner)
    ]
    return float(np.dot(distance, pairs.truth_px) / pairs.truth_px.sum())


def _nearest(own: _Shapes, row: int, others: _Shapes) -> float:
    """Return the smallest Hausdorff distance to any other object; skip those whose boxes are too far away."""
    # each side of a box touches the object, so the difference of two sides is a lower bound of the distance
    at_least = np.abs(others.box - own.box[row]).max(axis=1)
    best = np.inf
    for other in np.argsort(at_least, kind="stable"):
        if at_least[other] >= best:
            break
        best = min(best, _hausdorff(own, row, others, int(other)))
    return float(best)


def _hausdorff(own: _Shapes, row: int, others: _Shapes, other: int) -> float:
    return max(_farthest(own, row, others, other), _farthest(others, other, own, row))


def _farthest(own: _Shapes, row: int, others: _Shapes, other: int) -> float:
    """Return the largest distance of a pixel of one object to the other object.

    A pixel inside the other object has distance 0. For a pixel outside, the nearest pixel of the other object
    lies on its border. But the farthest pixel need not lie on a border: of a disc on a ring, it is the
    centre of the disc.
    """
    own_yx = own.pixels_yx(row)
    outside = own_yx[others.labels[own_yx[:, 0], own_yx[:, 1]] != int(others.ids[other])]
    if not len(outside):
        return 0.0
    return float(others.tree(other).query(outside)[0].max())


class _Shapes:
    """The pixels of each object of a map, found by one sort."""

    def __init__(self, labels: LabelMap, ids: NDArray[np.int64]) -> None:
        self.labels, self.ids = labels, ids
        self._all_yx, self._starts = self._by_object(labels > 0)
        self._trees: dict[int, cKDTree] = {}

    def pixels_yx(self, row: int) -> NDArray[np.int64]:
        """Return the pixels of an object as (n, 2) y and x."""
        return self._all_yx[self._starts[row] : self._starts[row + 1]]

    def tree(self, row: int) -> cKDTree:
        """Return the search tree of the border pixels of an object."""
        if row not in self._trees:
            border_yx, starts = self._borders
            self._trees[row] = cKDTree(border_yx[starts[row] : starts[row + 1]])
        return self._trees[row]

    @cached_property
    def box(self) -> NDArray[np.int64]:
        """First and last row and column of each object, inclusive."""
        lows = np.minimum.reduceat(self._all_yx, self._starts[:-1])
        highs = np.maximum.reduceat(self._all_yx, self._starts[:-1])
        return np.concatenate([lows, highs], axis=1)

    @cached_property
    def _borders(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pixels that have another label beside them. The edge of the image is not a border."""
        border = np.zeros(self.labels.shape, bool)
        for here, there in _neighbours():
            border[here] |= self.labels[here] != self.labels[there]
        return self._by_object(border & (self.labels > 0))

    def _by_object(self, mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the (y, x) of the mask's pixels, sorted by object, and where each object begins."""
        yx = np.argwhere(mask)
        row = np.searchsorted(self.ids, self.labels[mask].astype(np.int64))
        starts = np.zeros(len(self.ids) + 1, np.int64)
        np.cumsum(np.bincount(row, minlength=len(self.ids)), out=starts[1:])
        return yx[np.argsort(row, kind="stable")], starts


def _neighbours() -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    whole, head, tail = slice(None), slice(None, -1), slice(1, None)
    yield from (((head, whole), (tail, whole)), ((tail, whole), (head, whole)))
    yield from (((whole, head), (whole, tail)), ((whole, tail), (whole, head)))
