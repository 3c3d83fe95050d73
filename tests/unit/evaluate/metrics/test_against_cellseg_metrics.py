"""The measures agree with cellseg-metrics, an independent implementation that goes back to HoVer-Net's."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import hausdorff_distance

from sac_wsi.evaluate.metrics import score_image

cellseg_metrics = pytest.importorskip("cellseg_metrics", reason="needs cellseg-metrics, of the extra [test]")


@st.composite
def label_pairs(draw):
    """Two label maps of one size that partly agree; both have at least one object.

    cellseg-metrics gives 0 where both maps are empty, sac-wsi gives 1.
    """
    shape = draw(st.tuples(st.integers(2, 14), st.integers(2, 14)))
    ids = [0, *draw(st.lists(st.integers(1, 5000), min_size=1, max_size=8, unique=True))]
    truth, pred = (draw(arrays(np.int32, shape, elements=st.sampled_from(ids))) for _ in range(2))
    pred = np.where(draw(arrays(bool, shape)), truth, pred)
    assume(truth.any() and pred.any())
    return truth, pred


@given(label_pairs())
def test_panoptic_quality(pair):
    scores, expected = score_image(*pair), cellseg_metrics.panoptic_quality(*pair)
    assert scores.dq == pytest.approx(expected["dq"], abs=1e-6)
    assert scores.sq == pytest.approx(expected["sq"], abs=1e-6)
    assert scores.pq == pytest.approx(expected["pq"], abs=1e-6)


@given(label_pairs())
def test_aji(pair):
    """Kumar's partner has the largest IoU, HoVer-Net's the largest intersection: compare where they agree."""
    shared, pred_only, truth_only = cellseg_metrics.pairwise_pixel_stats(*pair)
    touching = shared.any(axis=1)
    iou = (shared / np.maximum(1, shared + pred_only + truth_only))[touching]
    assume(
        ((shared[touching] == shared[touching].max(axis=1, keepdims=True, initial=0)).sum(axis=1) == 1).all()
    )
    assume((shared[touching].argmax(axis=1) == iou.argmax(axis=1)).all())
    assert score_image(*pair).aji == pytest.approx(cellseg_metrics.aggregated_jaccard_index(*pair), abs=1e-6)


@given(label_pairs())
def test_detection_f1(pair):
    """From the precision of both directions. An IoU of exactly 0.5 is a match for sac-wsi alone: left out."""
    truth, pred = pair
    (iou,) = cellseg_metrics.pairwise_pixel_stats(truth, pred, metric_func=cellseg_metrics.iou_score)
    assume(not np.isclose(iou, 0.5).any())
    precision = cellseg_metrics.average_precision(truth, pred)
    recall = cellseg_metrics.average_precision(pred, truth)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    assert score_image(truth, pred).f1_det == pytest.approx(f1, abs=1e-6)


@given(label_pairs())
def test_dice_and_iou_of_the_foreground(pair):
    truth, pred = ((labels > 0).astype(np.int32) for labels in pair)
    scores = score_image(*pair)
    assert scores.iou == pytest.approx(cellseg_metrics.iou_multiclass(truth, pred, 2)[1], abs=1e-6)
    assert scores.dice == pytest.approx(cellseg_metrics.dice_multiclass(truth, pred, 2)[1], abs=1e-6)


@given(label_pairs())
def test_the_hausdorff_distance_of_one_object_is_that_of_scikit_image(pair):
    truth, pred = (labels > 0 for labels in pair)
    assert score_image(truth, pred, objects=True).objects.hausdorff_px == pytest.approx(
        hausdorff_distance(truth, pred)
    )
