"""Sparse joint histogram of two label maps, computed in one pass for any ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

LabelMap = NDArray[np.integer[Any]] | NDArray[np.bool_]
Ints = NDArray[np.int64]

_STRIP_PX = 1 << 20
"""The kernel needs int64. Strips are converted one by one: the whole image is never held as int64."""
_FIRST_SLOTS = 1 << 12
# odd numbers with irregular bits. Signed, because numba computes int64 with uint64 in float64
_MIX_TRUTH, _MIX_PRED = -7046029254386353131, -4417276706812531889


@dataclass(frozen=True)
class Overlap:
    """The objects of two maps, sorted by id, and the pairs of them that share pixels.

    truth_ids, pred_ids    ids that occur, without 0
    truth_px, pred_px      area of each object in pixels
    truth_row, pred_row    for each pair: positions in the arrays above; sorted by (truth_row, pred_row)
    shared_px              for each pair: number of pixels that both cover, at least 1
    """

    truth_ids: Ints
    pred_ids: Ints
    truth_px: Ints
    pred_px: Ints
    truth_row: Ints
    pred_row: Ints
    shared_px: Ints

    @property
    def union_px(self) -> Ints:
        """For each pair: number of pixels that at least one of them covers."""
        return self.truth_px[self.truth_row] + self.pred_px[self.pred_row] - self.shared_px

    @property
    def iou(self) -> NDArray[np.float64]:
        """For each pair: intersection over union, in (0, 1]."""
        return self.shared_px / self.union_px

    @property
    def empty_score(self) -> float | None:
        """The score if a map is empty: 1 if both are empty, 0 if one is. None if neither is empty."""
        if len(self.truth_ids) and len(self.pred_ids):
            return None
        return float(len(self.truth_ids) == len(self.pred_ids))

    def swapped(self) -> Overlap:
        """Return the overlap with truth and prediction exchanged."""
        order = np.lexsort((self.truth_row, self.pred_row))
        return Overlap(
            truth_ids=self.pred_ids,
            pred_ids=self.truth_ids,
            truth_px=self.pred_px,
            pred_px=self.truth_px,
            truth_row=self.pred_row[order],
            pred_row=self.truth_row[order],
            shared_px=self.shared_px[order],
        )


def compute_overlap(truth: LabelMap, pred: LabelMap) -> Overlap:
    """Return the objects of two label maps and the number of pixels that each pair shares.

    Ids are 1..2**63-1 in any integer type; 0 is background.

    >>> found = compute_overlap(np.array([[7, 7, 0]]), np.array([[0, 900, 900]]))
    >>> found.truth_ids.tolist(), found.pred_px.tolist(), found.shared_px.tolist(), found.iou.tolist()
    ([7], [2], [1], [0.3333333333333333])
    """
    if truth.shape != pred.shape:
        raise ValueError(f"truth is {truth.shape}, prediction {pred.shape}: needed maps of the same size")
    keys, counts = _empty_table(_FIRST_SLOTS)
    used = 0
    rows = max(1, _STRIP_PX // max(1, truth[0].size)) if len(truth) else 1
    for y in range(0, len(truth), rows):
        strips = [_as_int64(labels[y : y + rows]) for labels in (truth, pred)]
        keys, counts, used = _count_pairs(*strips, keys, counts, used)
    taken = counts > 0
    return _from_pairs(keys[taken, 0], keys[taken, 1], counts[taken])


def _as_int64(strip: LabelMap) -> Ints:
    ids = np.ascontiguousarray(strip, np.int64).ravel()
    if ids.size and ids.min() < 0:
        raise ValueError(f"{strip.dtype} ids below 0 or above 2**63-1: needed 0 (background) and 1..2**63-1")
    return ids


def _from_pairs(truth: Ints, pred: Ints, px: Ints) -> Overlap:
    """Build the overlap from (true id, predicted id, pixels) of each pair; one of the ids may be 0."""
    truth_ids, truth_px = _areas(truth, px)
    pred_ids, pred_px = _areas(pred, px)
    both = (truth > 0) & (pred > 0)
    truth_row, pred_row = np.searchsorted(truth_ids, truth[both]), np.searchsorted(pred_ids, pred[both])
    order = np.lexsort((pred_row, truth_row))
    return Overlap(truth_ids, pred_ids, truth_px, pred_px, truth_row[order], pred_row[order], px[both][order])


def _areas(ids: Ints, px: Ints) -> tuple[Ints, Ints]:
    occurring, row = np.unique(ids[ids > 0], return_inverse=True)
    areas = np.zeros(len(occurring), np.int64)
    np.add.at(areas, row, px[ids > 0])
    return occurring, areas


@njit(cache=True, nogil=True)
def _empty_table(slots: int) -> Any:
    return np.zeros((slots, 2), np.int64), np.zeros(slots, np.int64)


@njit(cache=True, nogil=True)
def _count_pairs(truth: Any, pred: Any, keys: Any, counts: Any, used: int) -> Any:
    """Add the pairs of a strip to the hash table. The table is enlarged when it is half full."""
    at = 0
    while at < truth.size:
        t, p, start = truth[at], pred[at], at
        while at < truth.size and truth[at] == t and pred[at] == p:
            at += 1
        if t == 0 and p == 0:
            continue
        if 2 * used >= len(counts):
            keys, counts = _enlarged(keys, counts)
        slot = _slot(keys, counts, t, p)
        used += counts[slot] == 0
        keys[slot, 0], keys[slot, 1] = t, p
        counts[slot] += at - start
    return keys, counts, used


@njit(cache=True, nogil=True)
def _slot(keys: Any, counts: Any, t: int, p: int) -> Any:
    """Return the slot of the pair, or the free slot where it belongs."""
    mixed = t * _MIX_TRUTH ^ p * _MIX_PRED
    last = len(counts) - 1
    slot = (mixed ^ (mixed >> 32)) & last
    while counts[slot] and (keys[slot, 0] != t or keys[slot, 1] != p):
        slot = (slot + 1) & last
    return slot


@njit(cache=True, nogil=True)
def _enlarged(keys: Any, counts: Any) -> Any:
    new_keys, new_counts = _empty_table(2 * len(counts))
    for i in range(len(counts)):
        if counts[i]:
            slot = _slot(new_keys, new_counts, keys[i, 0], keys[i, 1])
            new_keys[slot], new_counts[slot] = keys[i], counts[i]
    return new_keys, new_counts
