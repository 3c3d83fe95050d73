"""Nucleus against nucleus, from boolean masks and by trying every matching: no code of the package's own."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from sac_wsi.evaluate.metrics.instance import aji, aji_plus, best_matching, detection_f1, panoptic_quality
from sac_wsi.evaluate.metrics.overlap import compute_overlap

MEASURES = (aji, aji_plus, detection_f1, lambda found: panoptic_quality(found).pq)


@st.composite
def label_pairs(draw):
    """Touching, scattered, with gaps between ids, large ones, empty ones; few enough to try everything."""
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    ids = [0, *draw(st.lists(st.integers(1, 2**40), min_size=1, max_size=4, unique=True))]
    truth, pred = (draw(arrays(np.int64, shape, elements=st.sampled_from(ids))) for _ in range(2))
    copied = draw(arrays(bool, shape))
    return truth, np.where(copied, truth, pred)


def masks_of(labels):
    return {int(i): labels == i for i in np.unique(labels) if i != 0}


def jaccard(a, b):
    return (a & b).sum() / (a | b).sum()


def slow_aji(truth, pred):
    """The loop of the authors' Matlab program."""
    gts, preds = masks_of(truth), masks_of(pred)
    correct, union, used = 0, 0, set()
    for gt in gts.values():
        best, best_ji = None, 0
        for i, mask in preds.items():
            if (gt & mask).any() and jaccard(gt, mask) > best_ji:
                best, best_ji = i, jaccard(gt, mask)
        if best is None:
            union += gt.sum()
        else:
            used.add(best)
            correct += (gt & preds[best]).sum()
            union += (gt | preds[best]).sum()
    return correct / (union + sum(mask.sum() for i, mask in preds.items() if i not in used))


def matchings(truth, pred):
    """Every one-to-one matching as pairs of overlapping masks."""
    gts, preds = list(masks_of(truth).values()), list(masks_of(pred).values())
    short, long = sorted((gts, preds), key=len)
    for chosen in permutations(range(len(long)), len(short)):
        yield [(a, long[i]) for a, i in zip(short, chosen, strict=True) if (a & long[i]).any()]


def slow_aji_plus(truth, pred):
    """The largest sum of IoU, and the AJI+ of every matching that reaches it."""
    total = sum(mask.sum() for labels in (truth, pred) for mask in masks_of(labels).values())
    tried = []
    for pairs in matchings(truth, pred):
        shared = sum((a & b).sum() for a, b in pairs)
        # unions of the pairs and areas of the rest: all areas, less what the pairs share
        tried.append((sum(jaccard(a, b) for a, b in pairs), shared / (total - shared)))
    most = max(value for value, _ in tried)
    return most, [score for value, score in tried if value > most - 1e-9]


def slow_panoptic(truth, pred):
    gts, preds = masks_of(truth), masks_of(pred)
    ious = [j for a in gts.values() for b in preds.values() if (j := jaccard(a, b)) > 0.5]
    dq = len(ious) / (len(ious) + (len(gts) - len(ious)) / 2 + (len(preds) - len(ious)) / 2)
    return dq, sum(ious) / len(ious) if ious else 0.0


def slow_detection_f1(truth, pred):
    most = max(sum(jaccard(a, b) >= 0.5 for a, b in pairs) for pairs in matchings(truth, pred))
    return 2 * most / (len(masks_of(truth)) + len(masks_of(pred)))


@given(label_pairs())
@settings(max_examples=300)
def test_against_trying_everything(pair):
    found = compute_overlap(*pair)
    quality = panoptic_quality(found)
    if not (pair[0].any() and pair[1].any()):
        expected = float(not pair[0].any() and not pair[1].any())
        assert [measure(found) for measure in MEASURES] == [expected] * 4
        assert (quality.dq, quality.sq) == (expected, expected)
        return
    assert aji(found) == pytest.approx(slow_aji(*pair))
    assert (quality.dq, quality.sq) == pytest.approx(slow_panoptic(*pair))
    assert detection_f1(found) == pytest.approx(slow_detection_f1(*pair))
    most, possible = slow_aji_plus(*pair)
    assert found.iou[best_matching(found)].sum() == pytest.approx(most)
    assert any(aji_plus(found) == pytest.approx(score) for score in possible)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("touching", [1.0, 0.6, 0.2])
def test_matching_of_many_against_a_dense_assignment(seed, touching):
    """Blocks of random size, cut differently in both maps: chains of overlaps through the whole image."""
    rng = np.random.default_rng(seed)
    truth, pred = (blocks(rng, touching) for _ in range(2))
    found = compute_overlap(truth, pred)
    iou = np.zeros((len(found.truth_ids), len(found.pred_ids)))
    iou[found.truth_row, found.pred_row] = found.iou
    rows, columns = linear_sum_assignment(-iou)
    real = iou[rows, columns] > 0
    rows, columns = rows[real], columns[real]
    shared = sum(
        ((truth == found.truth_ids[r]) & (pred == found.pred_ids[c])).sum()
        for r, c in zip(rows, columns, strict=True)
    )
    assert found.iou[best_matching(found)].sum() == pytest.approx(iou[rows, columns].sum())
    assert aji_plus(found) == pytest.approx(shared / ((truth > 0).sum() + (pred > 0).sum() - shared))


def blocks(rng, touching):
    """About 150 rectangles that fill the part ``touching`` of the image; ids with gaps, in no order."""
    rows, columns = (np.sort(rng.integers(0, 160, 12)) for _ in range(2))
    cell = np.searchsorted(rows, np.arange(160))[:, None] * 13 + np.searchsorted(columns, np.arange(160))
    ids = rng.permutation(13 * 13) * 1_000_003 + 1
    ids[rng.random(len(ids)) > touching] = 0
    return ids[cell]


def test_values_worked_out_by_hand():
    truth = np.array([[1, 1, 1, 1, 0, 2, 2, 0, 3]])
    pred = np.array([[9, 9, 9, 0, 0, 4, 4, 4, 0]])
    found = compute_overlap(truth, pred)
    # 1 and 9: 3 of 4; 2 and 4: 2 of 3; 3 is lost
    assert aji(found) == aji_plus(found) == 5 / 8
    quality = panoptic_quality(found)
    assert quality.dq == detection_f1(found) == 4 / 5
    assert quality.sq == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert quality.pq == quality.dq * quality.sq


def test_a_prediction_over_two_nuclei_counts_twice_in_aji_and_once_in_aji_plus():
    truth, pred = np.array([[1, 1, 1, 2, 2, 2]]), np.array([[5, 5, 5, 5, 5, 5]])
    assert aji(compute_overlap(truth, pred)) == 6 / 12
    assert aji_plus(compute_overlap(truth, pred)) == 3 / 9


def test_a_nucleus_in_two_halves():
    """IoU is 0.5 twice: a match for detection, once, and none for panoptic quality."""
    truth, pred = np.array([[1, 1, 1, 1]]), np.array([[5, 5, 8, 8]])
    found = compute_overlap(truth, pred)
    assert panoptic_quality(found).dq == panoptic_quality(found).sq == 0
    assert detection_f1(found) == detection_f1(found.swapped()) == 2 / 3
    assert aji(found) == aji_plus(found) == 2 / 6


def test_the_matching_is_the_best_one_not_the_greedy_one():
    # greedy takes (1, 6) with 0.5 and is left with nothing; 1/3 + 1/3 is more
    truth = np.array([[1] * 6 + [2] * 3])
    pred = np.array([[5] * 2 + [6] * 7])
    found = compute_overlap(truth, pred)
    assert found.iou.tolist() == [1 / 3, 4 / 9, 3 / 7]
    assert sorted(found.iou[best_matching(found)]) == [1 / 3, 3 / 7]


@given(label_pairs())
def test_a_perfect_prediction_is_1(pair):
    for labels in pair:
        found = compute_overlap(labels, labels)
        assert [measure(found) for measure in MEASURES] == [1.0] * 4
        assert panoptic_quality(found).sq == 1


@pytest.mark.parametrize("seed", range(10))
def test_other_ids_give_the_same_scores(seed):
    rng = np.random.default_rng(seed)
    truth, pred = (blocks(rng, 0.7) for _ in range(2))
    before = [measure(compute_overlap(truth, pred)) for measure in MEASURES]
    renamed = [renumbered(rng, labels) for labels in (truth, pred)]
    assert [measure(compute_overlap(*renamed)) for measure in MEASURES] == pytest.approx(before)


def renumbered(rng, labels):
    ids, position = np.unique(labels, return_inverse=True)
    names = rng.choice(2**31, len(ids), replace=False) + 1
    names[ids == 0] = 0
    return names[position].reshape(labels.shape)
