"""One nucleus against one nucleus: AJI, AJI+, panoptic quality, detection F1."""

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
    """pq = dq * sq."""

    dq: float
    sq: float

    @property
    def pq(self) -> float:
        return self.dq * self.sq


def aji(found: Overlap) -> float:
    """Aggregated Jaccard index, as the program of Kumar et al. computes it.

    IEEE TMI 36 (2017) 1550, Algorithm 1, in the authors' ``Aggregated_Jaccard_Index_v1_0.m`` (the one of the
    MoNuSeg challenge): each true nucleus takes, of the predicted nuclei that touch it, the one of largest
    Jaccard index (of equals the lowest id). Their intersections and unions are summed. **A predicted nucleus
    may be taken by several true ones, and its union then counts each time.** A true nucleus that nothing
    touches adds its area to the union, and so does every predicted nucleus that was never taken.
    """
    if (nothing := found.score_of_nothing) is not None:
        return nothing
    # the stable sort keeps pairs of equal index by rising id
    order = np.lexsort((-found.iou, found.truth_row))
    _, first = np.unique(found.truth_row[order], return_index=True)
    return _aggregated(found, order[first])


def aji_plus(found: Overlap) -> float:
    """AJI with partners one to one (Graham et al., HoVer-Net, 2019): no predicted nucleus counts twice.

    The partners are those of the largest sum of Jaccard indices; all others add their area to the union.
    """
    if (nothing := found.score_of_nothing) is not None:
        return nothing
    return _aggregated(found, best_matching(found))


def best_matching(found: Overlap) -> NDArray[np.int64]:
    """Pairs, one to one, of the largest sum of IoU.

    Sparse: a dense table of 20,000 x 20,000 nuclei would be 3 GB. Each true nucleus also has a partner of its
    own that stands for none, of IoU 0, so that a matching of all of them exists. Costs are 2 - IoU, since
    a cost of zero would read as no edge.
    """
    truths, preds = len(found.truth_ids), len(found.pred_ids)
    alone = np.arange(truths)
    costs = csr_array(
        (
            np.concatenate([2 - found.iou, np.full(truths, 2.0)]),
            (np.concatenate([found.truth_row, alone]), np.concatenate([found.pred_row, preds + alone])),
        ),
        shape=(truths, preds + truths),
    )
    _, partner = min_weight_full_bipartite_matching(costs)
    return np.flatnonzero(partner[found.truth_row] == found.pred_row)


def panoptic_quality(found: Overlap) -> PanopticQuality:
    """Kirillov et al. 2019: nuclei match where IoU > 0.5, which no second partner can reach.

    dq is the F1 of the matches, sq their mean IoU.
    """
    if (nothing := found.score_of_nothing) is not None:
        return PanopticQuality(nothing, nothing)
    matched = 2 * found.shared_px > found.union_px
    count = int(matched.sum())
    return PanopticQuality(dq=_f1(count, found), sq=float(found.iou[matched].mean()) if count else 0.0)


def detection_f1(found: Overlap) -> float:
    """F1 of nuclei found at IoU >= 0.5, one to one (2018 Data Science Bowl, StarDist).

    Differs from dq where an IoU is exactly 0.5 only.
    """
    if (nothing := found.score_of_nothing) is not None:
        return nothing
    near = 2 * found.shared_px >= found.union_px
    # A nucleus has two such partners only where each is exactly a half of it; they then have no other. The
    # graph is thus of stars, and of a star one edge can match: all its nodes less all its edges.
    nodes = len(np.unique(found.truth_row[near])) + len(np.unique(found.pred_row[near]))
    return _f1(nodes - int(near.sum()), found)


def _f1(matches: int, found: Overlap) -> float:
    return float(2 * matches / (len(found.truth_ids) + len(found.pred_ids)))


def _aggregated(found: Overlap, pairs: NDArray[np.int64]) -> float:
    """Intersections of the pairs over their unions and the areas of all that is in none."""
    lost = np.delete(found.truth_px, found.truth_row[pairs]).sum()
    invented = np.delete(found.pred_px, found.pred_row[pairs]).sum()
    return float(found.shared_px[pairs].sum() / (found.union_px[pairs].sum() + lost + invented))
