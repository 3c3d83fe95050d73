"""GlaS measures, from boolean masks and all distances between all pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sac_wsi.evaluate.metrics.object_level import object_dice, object_f1, object_hausdorff, object_scores
from sac_wsi.evaluate.metrics.overlap import compute_overlap


@st.composite
def label_pairs(draw):
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    ids = st.sampled_from([0, 0, 0, 1, 5, 6, 2**33])
    truth, pred = (draw(arrays(np.int64, shape, elements=ids)) for _ in range(2))
    # long stretches without anything, so that there are objects that touch nothing
    side = draw(st.integers(0, shape[1]))
    truth[:, :side] *= draw(st.integers(0, 1))
    pred[:, side:] *= draw(st.integers(0, 1))
    return truth, pred


def masks_of(labels):
    return {int(i): labels == i for i in np.unique(labels) if i != 0}


def partner(mask, others):
    """Id of the mask that shares most pixels, the lowest of equals; None where nothing is shared."""
    shared = {i: int((mask & other).sum()) for i, other in others.items()}
    best = max(shared, key=lambda i: (shared[i], -i))
    return best if shared[best] else None


def slow_f1(truth, pred):
    gts, preds = masks_of(truth), masks_of(pred)
    right = 0
    for mask in preds.values():
        i = partner(mask, gts)
        right += i is not None and (mask & gts[i]).sum() / gts[i].sum() > 0.5
    if not right:
        return 0.0
    precision, recall = right / len(preds), right / len(gts)
    return 2 * precision * recall / (precision + recall)


def slow_dice(truth, pred):
    def one_way(own, others):
        area = sum(mask.sum() for mask in own.values())
        total = 0.0
        for mask in own.values():
            i = partner(mask, others)
            if i is not None:
                dice = 2 * (mask & others[i]).sum() / (mask.sum() + others[i].sum())
                total += mask.sum() / area * dice
        return total

    gts, preds = masks_of(truth), masks_of(pred)
    return (one_way(gts, preds) + one_way(preds, gts)) / 2


def hausdorff(a, b):
    distance = np.sqrt(((np.argwhere(a)[:, None] - np.argwhere(b)[None]) ** 2).sum(2))
    return max(distance.min(0).max(), distance.min(1).max())


def slow_hausdorff(truth, pred):
    def one_way(own, others):
        area = sum(mask.sum() for mask in own.values())
        total = 0.0
        for mask in own.values():
            i = partner(mask, others)
            candidates = others.values() if i is None else [others[i]]
            total += mask.sum() / area * min(hausdorff(mask, other) for other in candidates)
        return total

    gts, preds = masks_of(truth), masks_of(pred)
    return (one_way(gts, preds) + one_way(preds, gts)) / 2


@given(label_pairs())
@settings(max_examples=300)
def test_against_boolean_masks(pair):
    found = compute_overlap(*pair)
    scores = object_scores(found, *pair)
    if not (pair[0].any() and pair[1].any()):
        nothing = float(not pair[0].any() and not pair[1].any())
        assert (scores.f1, scores.dice) == (nothing, nothing)
        assert scores.hausdorff_px == (0 if nothing else None)
        return
    assert scores.f1 == pytest.approx(slow_f1(*pair))
    assert scores.dice == pytest.approx(slow_dice(*pair))
    assert scores.hausdorff_px == pytest.approx(slow_hausdorff(*pair))


@pytest.mark.parametrize("seed", range(4))
def test_glands_that_meet_and_glands_that_do_not(seed):
    rng = np.random.default_rng(seed)
    truth, pred = discs(rng, 5), discs(rng, 7)
    assert object_hausdorff(compute_overlap(truth, pred), truth, pred) == pytest.approx(
        slow_hausdorff(truth, pred)
    )


def discs(rng, count):
    y, x = np.mgrid[:70, :90]
    labels = np.zeros((70, 90), np.uint16)
    for i in range(count):
        cy, cx, radius = rng.integers(0, 70), rng.integers(0, 90), rng.integers(2, 14)
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = 10 * i + 3
    return labels


def test_the_farthest_pixel_may_lie_inside():
    """A disc over a ring: only its middle is far from the ring."""
    y, x = np.mgrid[:41, :41] - 20
    disc = (y**2 + x**2 <= 15**2).astype(np.uint8)
    ring = disc * (y**2 + x**2 > 10**2)
    found = compute_overlap(disc, ring)
    assert object_hausdorff(found, disc, ring) == hausdorff(disc > 0, ring > 0) > 10


def test_values_worked_out_by_hand():
    truth, pred = np.array([[1, 1, 1, 1, 0, 0, 2, 2]]), np.array([[4, 4, 4, 0, 0, 0, 0, 0]])
    found = compute_overlap(truth, pred)
    assert object_f1(found) == 2 / 3
    assert object_dice(found) == pytest.approx((4 / 6 * 6 / 7 + 6 / 7) / 2)
    # 2 touches nothing and is 7 from the far end of 4
    assert object_hausdorff(found, truth, pred) == pytest.approx((4 / 6 * 1 + 2 / 6 * 6 + 1) / 2)


def test_half_of_a_gland_is_not_enough():
    truth = np.array([[1, 1, 1, 1]])
    assert object_f1(compute_overlap(truth, np.array([[1, 1, 0, 0]]))) == 0
    assert object_f1(compute_overlap(truth, np.array([[1, 1, 1, 0]]))) == 1


def test_a_gland_that_fills_the_image_has_no_border():
    full, part = np.ones((6, 6), np.uint8), np.ones((6, 6), np.uint8)
    part[:, 3:] = 0
    assert object_hausdorff(compute_overlap(full, full), full, full) == 0
    assert object_hausdorff(compute_overlap(full, part), full, part) == 3
