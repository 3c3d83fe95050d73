"""Splitting and thinning out, against brute force on boolean masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from sac_wsi.geometry import Box
from sac_wsi.model.points.instances import at_own_height, mask_nms, seeded_watershed
from sac_wsi.nuclei.masks import labels_from_nuclei, nuclei_from_masks
from sac_wsi.tiling.stitch import precedence

SIDE_PX = 40
PAGE = Box(0, 0, SIDE_PX, SIDE_PX)


@st.composite
def clumps(draw):
    """prob, mask and distinct seeds, some beside the mask."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 30)), draw(st.integers(1, 30)))
    prob = ndimage.gaussian_filter(rng.random(shape, np.float32), draw(st.sampled_from([0, 1, 2])))
    count = draw(st.integers(0, 12))
    seeds = rng.permutation(prob.size)[:count]
    return prob, prob > draw(st.sampled_from([0.4, 0.5])), np.column_stack(np.divmod(seeds, shape[1]))


@st.composite
def overlapping(draw):
    """Nuclei of a small page: ellipses and squares, with few different scores."""
    number = st.integers(0, SIDE_PX - 1)
    half = st.integers(0, 7)
    drawn = draw(
        st.lists(
            st.tuples(number, number, half, half, st.booleans(), st.sampled_from([0.5, 0.7, 0.9])),
            max_size=14,
        )
    )
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    masks = []
    for cy, cx, a, b, is_round, _ in drawn:
        square = (abs(y - cy) <= a) & (abs(x - cx) <= b)
        oval = ((y - cy) / (a + 0.5)) ** 2 + ((x - cx) / (b + 0.5)) ** 2 <= 1
        masks.append(((0, 0), oval if is_round else square))
    return nuclei_from_masks(masks, np.array([one[-1] for one in drawn], np.float32))


def painted(nuclei):
    return [labels_from_nuclei(nuclei.take(np.array([i])), PAGE) > 0 for i in range(len(nuclei))]


def square(y0, x0, side, score):
    return ((y0, x0), np.ones((side, side), bool)), score


def nuclei_of(*squares):
    masks, scores = zip(*squares, strict=True)
    return nuclei_from_masks(masks, np.array(scores, np.float32))


# --- seeded_watershed ----------------------------------------------------------------------------


@given(clumps())
def test_the_pieces_partition_the_mask(clump):
    prob, mask, seeds_yx = clump
    labels = seeded_watershed(prob, mask, seeds_yx, min_area_px=1)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels > 0, mask)
    assert np.unique(labels[mask]).tolist() == list(range(1, labels.max() + 1))
    for label in range(1, labels.max() + 1):
        assert ndimage.label(labels == label)[1] == 1


@given(clumps())
def test_every_seed_in_the_mask_has_its_own_label_in_its_order(clump):
    prob, mask, seeds_yx = clump
    labels = seeded_watershed(prob, mask, seeds_yx, min_area_px=1)
    at = labels[seeds_yx[:, 0], seeds_yx[:, 1]]
    assert at[at > 0].tolist() == list(range(1, int((at > 0).sum()) + 1))
    np.testing.assert_array_equal(at > 0, mask[seeds_yx[:, 0], seeds_yx[:, 1]])


@given(clumps())
def test_a_region_without_a_seed_stays_whole_and_regions_never_mix(clump):
    prob, mask, seeds_yx = clump
    labels = seeded_watershed(prob, mask, seeds_yx, min_area_px=1)
    regions, count = ndimage.label(mask)
    for region in range(1, count + 1):
        seeds = int((regions[seeds_yx[:, 0], seeds_yx[:, 1]] == region).sum())
        assert len(np.unique(labels[regions == region])) == max(seeds, 1)
    assert labels.max(initial=0) == sum(
        max(int((regions[seeds_yx[:, 0], seeds_yx[:, 1]] == r).sum()), 1) for r in range(1, count + 1)
    )


@given(clumps(), st.integers(2, 40))
def test_small_pieces_go_and_the_others_keep_their_order(clump, min_area_px):
    everything = seeded_watershed(*clump, min_area_px=1)
    found = seeded_watershed(*clump, min_area_px=min_area_px)
    large = [i for i in range(1, everything.max() + 1) if (everything == i).sum() >= min_area_px]
    expected = np.zeros_like(everything)
    for label, i in enumerate(large, 1):
        expected[everything == i] = label
    np.testing.assert_array_equal(found, expected)


def two_discs(apart_px):
    y, x = np.mgrid[:30, :50]
    return ((y - 15) ** 2 + (x - 15) ** 2 <= 81) | ((y - 15) ** 2 + (x - 15 - apart_px) ** 2 <= 81)


def test_two_touching_discs_are_cut_at_the_neck_though_the_seeds_lie_askew():
    mask = two_discs(15)
    labels = seeded_watershed(mask.astype(np.float32), mask, np.array([[15, 17], [15, 34]]))
    cut = np.argmax(labels[15] == 2)
    assert abs(int(cut) - 23) <= 1  # the neck is at 22.5, the middle between the seeds at 25.5


@pytest.mark.parametrize("seed_x", [24, 27, 31])
def test_a_seed_lower_than_the_neck_is_not_flooded_over(seed_x):
    mask = two_discs(12)
    labels = seeded_watershed(mask.astype(np.float32), mask, np.array([[15, 13], [15, seed_x]]))
    assert np.bincount(labels.ravel())[1:].min() > 0.35 * mask.sum()


def test_a_valley_that_only_the_map_shows_is_the_cut():
    mask = np.ones((12, 40), bool)
    prob = np.ones(mask.shape, np.float32)
    prob[:, 12] = 0.55
    labels = seeded_watershed(prob, mask, np.array([[6, 8], [6, 30]]))
    assert (labels[:, :12] == 1).all()
    assert (labels[:, 13:] == 2).all()


def test_equal_seeds_are_one_and_a_mask_that_fills_the_map_has_a_depth():
    labels = seeded_watershed(np.ones((9, 9), np.float32), np.ones((9, 9), bool), np.array([[4, 4], [4, 4]]))
    assert (labels == 1).all()


def test_seeds_outside_the_map_are_refused():
    with pytest.raises(ValueError, match="seeds outside the map of \\(3, 3\\)"):
        seeded_watershed(np.ones((3, 3), np.float32), np.ones((3, 3), bool), np.array([[0, -1]]))


def test_an_empty_mask_has_no_pieces():
    none = np.zeros((4, 5), bool)
    assert not seeded_watershed(none.astype(np.float32), none, np.array([[1, 1]])).any()
    assert not seeded_watershed(none.astype(np.float32), none, np.zeros((0, 2), int)).any()


# --- at_own_height -------------------------------------------------------------------------------


@given(clumps(), st.floats(0.05, 1), st.floats(0.05, 1))
def test_each_nucleus_ends_at_its_share_of_its_own_height(clump, share, faint_probability):
    prob, mask, seeds_yx = clump
    labels = seeded_watershed(prob, mask, seeds_yx, min_area_px=1)
    kept = at_own_height(labels, prob, share, faint_probability)
    expected = np.zeros_like(labels)
    for label in range(1, labels.max() + 1):
        here = labels == label
        height = max(np.quantile(prob[here], 0.9, method="lower"), np.float32(faint_probability))
        expected[here & (prob > np.float32(share) * height)] = label
    assert np.mean(kept != expected) <= 0.01  # rounding on the cut


def test_a_faint_nucleus_is_outlined_as_fully_as_a_clear_one():
    y, x = np.mgrid[:21, :40]
    hill = np.exp(-(((y - 10) / 5.0) ** 2)[..., None] - (((x[..., None] - [10, 29]) / 5.0) ** 2))
    clear, faint = np.moveaxis(hill, 2, 0)
    prob = np.asarray(clear + 0.6 * faint, np.float32)
    labels = np.where(prob > 0.25, np.where(x < 20, 1, 2), 0).astype(np.int32)
    areas = [np.bincount(at_own_height(labels, prob, 0.5, least).ravel())[1:] for least in (1.0, 0.5)]
    assert areas[0][1] < 0.4 * areas[0][0]
    assert areas[1][1] == pytest.approx(areas[1][0], rel=0.25)
    np.testing.assert_array_equal(at_own_height(labels, prob, 0.5, 1.0), np.where(prob > 0.5, labels, 0))


def test_of_no_labels_none_are_left():
    none = np.zeros((4, 5), np.int32)
    assert not at_own_height(none, none.astype(np.float32), 0.5, 0.7).any()


# --- mask_nms ------------------------------------------------------------------------------------


@given(overlapping(), st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]), st.sampled_from([0.5, 0.8, 1.0]))
def test_nms_is_greedy_by_precedence_on_exact_masks(nuclei, iou, inside):
    masks = painted(nuclei)
    kept = []
    for i in np.argsort(precedence(nuclei)).tolist():
        shared = [int((masks[i] & masks[k]).sum()) for k in kept]
        union = [int((masks[i] | masks[k]).sum()) for k in kept]
        second_view = any(s > iou * u for s, u in zip(shared, union, strict=True))
        covered = any(s > inside * masks[i].sum() for s in shared)
        if not (second_view or covered):
            kept.append(i)
    found = mask_nms(nuclei, iou, inside)
    assert found.dtype == np.int64
    assert found.tolist() == sorted(kept)


@given(overlapping())
def test_what_nms_keeps_it_keeps_again(nuclei):
    once = nuclei.take(mask_nms(nuclei, 0.5))
    assert mask_nms(once, 0.5).tolist() == list(range(len(once)))


def test_a_part_of_a_better_nucleus_goes_and_a_worse_nucleus_round_a_part_stays():
    whole_is_better = nuclei_of(square(0, 0, 10, 0.9), square(2, 2, 3, 0.8))
    part_is_better = nuclei_of(square(0, 0, 10, 0.8), square(2, 2, 3, 0.9))
    assert mask_nms(whole_is_better, 0.5).tolist() == [0]
    assert mask_nms(part_is_better, 0.5).tolist() == [0, 1]
