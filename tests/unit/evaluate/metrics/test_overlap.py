"""The joint histogram, against comparing boolean masks one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sac_wsi.evaluate.metrics import score_image
from sac_wsi.evaluate.metrics.overlap import compute_overlap

TYPES = (np.uint8, np.uint16, np.uint32, np.int32, np.int64, np.uint64, ">u2", bool)


@st.composite
def label_pairs(draw):
    shape = draw(st.tuples(st.integers(0, 12), st.integers(0, 12)))
    ids = st.sampled_from([0, 1, 2, 7, 255, 65_536, 2**32 - 1, 2**63 - 1])
    return draw(arrays(np.int64, shape, elements=ids)), draw(arrays(np.int64, shape, elements=ids))


def check(found, truth, pred):
    assert found.truth_ids.tolist() == [i for i in np.unique(truth) if i]
    assert found.pred_ids.tolist() == [i for i in np.unique(pred) if i]
    assert found.truth_px.tolist() == [(truth == i).sum() for i in found.truth_ids]
    assert found.pred_px.tolist() == [(pred == i).sum() for i in found.pred_ids]
    expected = [
        (row, column, ((truth == i) & (pred == j)).sum(), ((truth == i) | (pred == j)).sum())
        for row, i in enumerate(found.truth_ids)
        for column, j in enumerate(found.pred_ids)
        if ((truth == i) & (pred == j)).any()
    ]
    got = zip(found.truth_row, found.pred_row, found.shared_px, found.union_px, strict=True)
    assert list(got) == expected


@given(label_pairs())
def test_every_pair_is_counted(pair):
    check(compute_overlap(*pair), *pair)


@given(label_pairs())
def test_swapping_is_the_same_as_asking_the_other_way_round(pair):
    swapped, expected = compute_overlap(*pair).swapped(), compute_overlap(*pair[::-1])
    for name in vars(expected):
        np.testing.assert_array_equal(getattr(swapped, name), getattr(expected, name))


@pytest.mark.parametrize("dtype", TYPES)
def test_any_integer_type_and_layout(dtype):
    rng = np.random.default_rng(0)
    truth, pred = rng.integers(0, 2 if dtype is bool else 200, (2, 31, 37)).astype(dtype)
    check(compute_overlap(truth, pred), truth, pred)
    check(
        compute_overlap(truth[::-1, ::2], np.asfortranarray(pred[::-1, ::2])),
        truth[::-1, ::2],
        pred[::-1, ::2],
    )


def test_the_table_grows():
    """Each pixel a pair of its own: far more pairs than the table starts with."""
    truth = np.arange(1, 120 * 100 + 1).reshape(120, 100)
    pred = truth[::-1] * 2**40
    found = compute_overlap(truth, pred)
    assert set(found.shared_px) == {1}
    assert found.truth_ids.tolist() == found.truth_ids[found.truth_row].tolist() == truth.ravel().tolist()
    assert found.pred_ids[found.pred_row].tolist() == pred.ravel().tolist()


@pytest.mark.parametrize("shape", [(2100, 1000), (3, 800_000)])
def test_an_image_of_several_strips(shape):
    truth, pred = np.random.default_rng(0).integers(0, 4, (2, *shape), np.uint8)
    found = compute_overlap(truth, pred)
    joint = np.bincount((truth * 4 + pred).ravel()).reshape(4, 4)
    assert found.shared_px.tolist() == joint[1:, 1:].ravel().tolist()
    assert found.truth_px.tolist() == joint.sum(1)[1:].tolist()
    assert found.pred_px.tolist() == joint.sum(0)[1:].tolist()


@pytest.mark.parametrize(
    ("truth", "pred", "words"),
    [
        (np.ones((2, 2), int), np.ones((2, 3), int), "the same size"),
        (np.full((2, 2), -1), np.ones((2, 2), int), "below 0"),
        (np.ones((2, 2), int), np.full((2, 2), 2**63, np.uint64), "above 2"),
    ],
)
def test_maps_that_cannot_be_compared(truth, pred, words):
    with pytest.raises(ValueError, match=words):
        compute_overlap(truth, pred)


def test_an_id_in_two_pieces_is_one_object():
    apart = np.array([[3, 0, 0, 0, 3]])
    scores = score_image(apart, np.array([[1, 0, 0, 0, 1]]))
    assert scores.truth_nuclei == scores.pred_nuclei == 1
    assert scores.pq == scores.aji == 1
    halves = score_image(apart, np.array([[1, 0, 0, 0, 2]]))
    assert halves.pred_nuclei == 2
    assert halves.pq == 0
