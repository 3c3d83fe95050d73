"""Foreground against foreground."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sac_wsi.evaluate.metrics.overlap import compute_overlap
from sac_wsi.evaluate.metrics.pixel import dice, f1_pooled, iou, pixel_counts

LABELS = arrays(np.int32, (5, 6), elements=st.sampled_from([0, 0, 3, 70_000]))


@given(LABELS, LABELS)
def test_against_boolean_masks(truth, pred):
    counts = pixel_counts(compute_overlap(truth, pred))
    t, p = truth > 0, pred > 0
    if not (t | p).any():
        assert dice(counts) == iou(counts) == 1
        return
    assert dice(counts) == pytest.approx(2 * (t & p).sum() / (t.sum() + p.sum()))
    assert iou(counts) == pytest.approx((t & p).sum() / (t | p).sum())


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=4))
def test_pooling_is_one_long_image(pairs):
    pooled = f1_pooled(pixel_counts(compute_overlap(truth, pred)) for truth, pred in pairs)
    truth, pred = (np.concatenate(side) for side in zip(*pairs, strict=True))
    assert pooled == dice(pixel_counts(compute_overlap(truth, pred)))


def test_pooling_is_not_the_mean():
    large, small = np.ones((10, 10), int), np.zeros((10, 10), int)
    small[0, 0] = 1
    counts = [pixel_counts(compute_overlap(large, large)), pixel_counts(compute_overlap(small, 0 * small))]
    assert f1_pooled(counts) == 200 / 201
    assert np.mean([dice(image) for image in counts]) == 0.5
