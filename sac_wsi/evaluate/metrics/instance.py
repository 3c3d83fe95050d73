"""Measures per nucleus: AJI, AJI+, panoptic quality and detection F1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sac_wsi.evaluate.metrics.overlap import Overlap


@dataclass(frozen=True)
class PanopticQuality:
    """Panoptic quality: detection quality (dq) times segmentation quality (sq)."""

    dq: float
    sq: float

    @property
    def pq(self) -> float:
        """The product dq * sq."""
        return self.dq * self.sq


def aji(overlap: Overlap) -> float:
    """Return the aggregated Jaccard index (AJI) as the program of Kumar et al. computes it.

    IEEE TMI 36 (2017) 1550, Algorithm 1, in the authors' ``Aggregated_Jaccard_Index_v1_0.m``, which the
    MoNuSeg challenge used. The partner of a true nucleus is the predicted nucleus with the largest Jaccard
    index (of equal ones the lowest id). AJI is the sum of the partners' intersections divided by the sum of
    their unions. **One predicted nucleus can be the partner of several true ones; its union then counts each
    time.** The area of a true nucleus without partner, and of a predicted nucleus that is nobody's partner,
    is added to the sum of unions.
    """
    if (empty_score := overlap.empty_score) is not None:
        return empty_score
    # the stable sort keeps pairs of equal IoU in the order of their ids
    order = np.lexsort((-overlap.iou, overlap.truth_row))
    _, first = np.unique(overlap.truth_row[order], return_index=True)
    return _aggregated(overlap, order[first])


def aji_plus(overlap: Overlap) -> float:
    """Return AJI with one-to-one partners (Graham et al., HoVer-Net, 2019), so that nothing counts twice.

    The partners are chosen so that the sum of their Jaccard indices is largest. The area of every nucleus
    without partner is added to the sum of unions.
    """
    if (empty_score := overlap.empty_score) is not None:
        return empty_score
    return _aggregated(overlap, best_matching(overlap))


def best_matching(overlap: Overlap) -> NDArray[np.int64]:
    """Return the indices of the one-to-one pairs with the largest sum of IoU.

    The cost matrix is sparse: a dense one of 20,000 x 20,000 nuclei would need 3 GB. Each true nucleus also
    gets a placeholder partner with an IoU of 0, which means "no partner", so that a full matching always
    exists. The cost of a pair is 2 - IoU, because a cost of zero would mean that there is no edge.
    """
    truths, preds = len(overlap.truth_ids), len(overlap.pred_ids)
    placeholder = np.arange(truths)
    costs = csr_array(
        (
            np.concatenate([2 - overlap.iou, np.full(truths, 2.0)]),
            (
                np.concatenate([overlap.truth_row, placeholder]),
                np.concatenate([overlap.pred_row, preds + placeholder]),
            ),
        ),
        shape=(truths, preds + truths),
    )
    _, partner = min_weight_full_bipartite_matching(costs)
    return np.flatnonzero(partner[overlap.truth_row] == overlap.pred_row)


def panoptic_quality(overlap: Overlap) -> PanopticQuality:
    """Return the panoptic quality (Kirillov et al. 2019).

    Two nuclei match if their IoU is above 0.5; a nucleus can have only one such partner. dq is the F1 of the
    matches, sq their mean IoU.
    """
    if (empty_score := overlap.empty_score) is not None:
        return PanopticQuality(empty_score, empty_score)
    matched = 2 * overlap.shared_px > overlap.union_px
    count = int(matched.sum())
    return PanopticQuality(dq=_f1(count, overlap), sq=float(overlap.iou[matched].mean()) if count else 0.0)


def detection_f1(overlap: Overlap) -> float:
    """Return the F1 of one-to-one matches with an IoU of at least 0.5 (2018 Data Science Bowl, StarDist).

    It differs from dq only if an IoU is exactly 0.5.
    """
    if (empty_score := overlap.empty_score) is not None:
        return empty_score
    near = 2 * overlap.shared_px >= overlap.union_px
    # A nucleus has two such partners only if each is exactly one half of it; these have no other partner.
    # So each connected part of the graph is a star, and one edge of a star can be a match. The number of
    # stars is the number of nodes minus the number of edges.
    nodes = len(np.unique(overlap.truth_row[near])) + len(np.unique(overlap.pred_row[near]))
    return _f1(nodes - int(near.sum()), overlap)


def _f1(matches: int, overlap: Overlap) -> float:
    return float(2 * matches / (len(overlap.truth_ids) + len(overlap.pred_ids)))


def _aggregated(overlap: Overlap, pairs: NDArray[np.int64]) -> float:
    """Return the summed intersections of the pairs, divided by their unions and the areas without partner."""
    missed_px = np.delete(overlap.truth_px, overlap.truth_row[pairs]).sum()
    extra_px = np.delete(overlap.pred_px, overlap.pred_row[pairs]).sum()
    return float(overlap.shared_px[pairs].sum() / (overlap.union_px[pairs].sum() + missed_px + extra_px))
