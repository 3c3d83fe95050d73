"""The three measures of the GlaS challenge (Sirinukunwattana et al., Med. Image Anal. 35 (2017) 489).

As the challenge's own program (evaluation_v6, Matlab) computes them. The partner of an object is the object
of the other map that shares most pixels with it (of equals the lowest id); several may have one partner.
Each of Dice and Hausdorff is the mean of two sums, over predicted and over true objects, in which an object
weighs its share of all foreground pixels of its map.
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
    """hausdorff_px: None where one map has objects and the other has none."""

    f1: float
    dice: float
    hausdorff_px: float | None


def object_scores(found: Overlap, truth: LabelMap, pred: LabelMap) -> ObjectScores:
    return ObjectScores(object_f1(found), object_dice(found), object_hausdorff(found, truth, pred))


def object_f1(found: Overlap) -> float:
    """A predicted object is right where it covers more than half of its partner; F1 of these.

    The paper says "at least" half, the program that made its tables says more: with more, no true object can
    be found twice.
    """
    if (nothing := found.score_of_nothing) is not None:
        return nothing
    pairs = _partner_pairs(found.swapped())
    right = 2 * pairs.shared_px > pairs.pred_px[pairs.pred_row]
    return float(2 * np.count_nonzero(right) / (len(found.truth_ids) + len(found.pred_ids)))


def object_dice(found: Overlap) -> float:
    """Dice of each object with its partner (0 without one), weighted by area."""
    if (nothing := found.score_of_nothing) is not None:
        return nothing
    return (_weighted_dice(found) + _weighted_dice(found.swapped())) / 2


def object_hausdorff(found: Overlap, truth: LabelMap, pred: LabelMap) -> float | None:
    """Hausdorff distance in pixels of each object to its partner, weighted by area.

    An object that touches nothing is compared with whichever of the other map is at the least distance. None
    where one map is empty: the distance is infinite there.
    """
    if (nothing := found.score_of_nothing) is not None:
        return 0.0 if nothing else None
    true_shapes, pred_shapes = _Shapes(truth, found.truth_ids), _Shapes(pred, found.pred_ids)
    return (
        _weighted_hausdorff(found, true_shapes, pred_shapes)
        + _weighted_hausdorff(found.swapped(), pred_shapes, true_shapes)
    ) / 2


def _partner_pairs(found: Overlap) -> Overlap:
    """The same objects with only those pairs in which the second is the partner of the first."""
    order = np.lexsort((-found.shared_px, found.truth_row))
    rows, first = np.unique(found.truth_row[order], return_index=True)
    kept = order[first]
    return Overlap(
        found.truth_ids,
        found.pred_ids,
        found.truth_px,
        found.pred_px,
        rows,
        found.pred_row[kept],
        found.shared_px[kept],
    )


def _weighted_dice(found: Overlap) -> float:
    pairs = _partner_pairs(found)
    own_px = pairs.truth_px[pairs.truth_row]
    dice = 2 * pairs.shared_px / (own_px + pairs.pred_px[pairs.pred_row])
    return float((own_px * dice).sum() / pairs.truth_px.sum())


def _weighted_hausdorff(found: Overlap, own: _Shapes, others: _Shapes) -> float:
    pairs = _partner_pairs(found)
    partner = np.full(len(pairs.truth_ids), _NONE)
    partner[pairs.truth_row] = pairs.pred_row
    distance = [
        _nearest(own, row, others) if other == _NONE else _hausdorff(own, row, others, int(other))
        for row, other in enumerate(partner)
    ]
    return float(np.dot(distance, pairs.truth_px) / pairs.truth_px.sum())


def _nearest(own: _Shapes, row: int, others: _Shapes) -> float:
    """The least Hausdorff distance to any other; those whose boxes are too far are not looked at."""
    # a point at each side of a box has all of the other object at least that far beyond it
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
    """How far the pixels of one object are from the other at most.

    Pixels inside the other are at 0. To a pixel outside, the nearest of the other is one of its border; but
    the farthest pixel need not lie on a border: think of a disc over a ring.
    """
    own_yx = own.pixels_yx(row)
    outside = own_yx[others.labels[own_yx[:, 0], own_yx[:, 1]] != int(others.ids[other])]
    if not len(outside):
        return 0.0
    return float(others.tree(other).query(outside)[0].max())


class _Shapes:
    """Pixels of each object of a map, found by sorting once."""

    def __init__(self, labels: LabelMap, ids: NDArray[np.int64]) -> None:
        self.labels, self.ids = labels, ids
        self._all_yx, self._starts = self._by_object(labels > 0)
        self._trees: dict[int, cKDTree] = {}

    def pixels_yx(self, row: int) -> NDArray[np.int64]:
        return self._all_yx[self._starts[row] : self._starts[row + 1]]

    def tree(self, row: int) -> cKDTree:
        """Of the border pixels."""
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
        """Pixels with another label beside them; the edge of the image is no border, nothing lies beyond."""
        border = np.zeros(self.labels.shape, bool)
        for here, there in _neighbours():
            border[here] |= self.labels[here] != self.labels[there]
        return self._by_object(border & (self.labels > 0))

    def _by_object(self, mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The pixels of the mask, y and x, sorted by object, and where each object begins."""
        yx = np.argwhere(mask)
        row = np.searchsorted(self.ids, self.labels[mask].astype(np.int64))
        starts = np.zeros(len(self.ids) + 1, np.int64)
        np.cumsum(np.bincount(row, minlength=len(self.ids)), out=starts[1:])
        return yx[np.argsort(row, kind="stable")], starts


def _neighbours() -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    whole, head, tail = slice(None), slice(None, -1), slice(1, None)
    yield from (((head, whole), (tail, whole)), ((tail, whole), (head, whole)))
    yield from (((whole, head), (whole, tail)), ((whole, tail), (whole, head)))
