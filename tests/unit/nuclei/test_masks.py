"""Label maps to nuclei and back, against scipy.ndimage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from sac_wsi.geometry import Box
from sac_wsi.nuclei.masks import labels_from_nuclei, nuclei_from_labels, nuclei_from_masks

LABEL_MAPS = arrays(np.int32, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.integers(0, 3))
OFFSETS = st.integers(-70_000, 70_000)


def expected_mask(labels, label):
    """Largest 4-connected piece of the label; its pockets filled."""
    pieces, count = ndimage.label(labels == label)
    sizes = ndimage.sum_labels(labels == label, pieces, range(1, count + 1))
    kept = pieces == np.argmax(sizes) + 1
    return ndimage.binary_fill_holes(kept)


def rounded_mean(values):
    return (2 * int(values.sum()) + len(values)) // (2 * len(values))


@given(LABEL_MAPS, OFFSETS, OFFSETS)
@settings(max_examples=300, deadline=None)
def test_each_label_is_its_largest_piece_with_pockets_filled(labels, corner_y, corner_x):
    found = nuclei_from_labels(labels, (corner_y, corner_x))
    present = [label for label in (1, 2, 3) if (labels == label).any()]
    assert len(found) == len(present)
    for i, label in enumerate(present):
        mask = expected_mask(labels, label)
        (rows, columns) = ndimage.find_objects(mask.astype(int))[0]
        box = Box(rows.start, columns.start, rows.stop, columns.stop).shift(corner_y, corner_x)
        ys, xs = np.nonzero(mask)
        assert found.box[i].tolist() == [box.y0, box.x0, box.y1, box.x1]
        assert found.area_px[i] == mask.sum()
        assert found.anchor_yx[i].tolist() == [rounded_mean(ys + corner_y), rounded_mean(xs + corner_x)]
        np.testing.assert_array_equal(found.mask(i), mask[rows, columns])


@given(LABEL_MAPS, OFFSETS, OFFSETS)
@settings(deadline=None)
def test_shifting_the_map_shifts_everything_exactly(labels, dy, dx):
    here, there = nuclei_from_labels(labels, (0, 0)), nuclei_from_labels(labels, (dy, dx))
    np.testing.assert_array_equal(here.anchor_yx + np.array([dy, dx]), there.anchor_yx)
    np.testing.assert_array_equal(here.box + np.array([dy, dx, dy, dx]), there.box)
    np.testing.assert_array_equal(here.mask_bits, there.mask_bits)
    np.testing.assert_array_equal(here.mask_start, there.mask_start)


def test_the_anchor_is_the_centroid_rounded_half_up():
    mask = np.random.default_rng(0).random((40, 30)) < 0.9
    found = nuclei_from_masks([((-500, 900), mask)])
    centre = np.array(ndimage.center_of_mass(found.mask(0))) + found.box[0, :2]
    np.testing.assert_array_equal(found.anchor_yx[0], np.floor(centre + 0.5))


def test_a_corner_does_not_let_a_pocket_out():
    ring = np.array([[1, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 1]], np.int32)
    open_corner = np.array([[1, 1, 0], [1, 0, 1], [1, 1, 1]], np.int32)
    assert nuclei_from_labels(ring, (0, 0)).area_px.tolist() == [14]
    assert nuclei_from_labels(open_corner, (0, 0)).area_px.tolist() == [8]


def test_a_nucleus_inside_a_ring_keeps_its_pixels_and_so_does_the_ring():
    labels = np.ones((5, 5), np.int32)
    labels[1:4, 1:4] = 0
    labels[2, 2] = 2
    assert nuclei_from_labels(labels, (0, 0)).area_px.tolist() == [25, 1]


def test_scores_follow_their_labels_over_gaps():
    labels = np.array([[3, 0, 1]], np.int32)
    found = nuclei_from_labels(labels, (0, 0), np.array([0.25, 0.5, 0.75], np.float32))
    assert found.score.tolist() == [0.25, 0.75]
    assert found.tile.tolist() == [-1, -1]


@given(LABEL_MAPS)
@settings(deadline=None)
def test_a_painted_pixel_shows_the_last_nucleus_over_it(labels):
    found = nuclei_from_labels(labels, (-3, 8))
    frame = Box(-5, 6, 20, 30)
    expected = np.zeros(frame.shape, np.int32)
    for i in range(len(found)):
        box = Box(*found.box[i].tolist())
        expected[box.within(frame)][found.mask(i)] = i + 1
    np.testing.assert_array_equal(labels_from_nuclei(found, frame), expected)


def test_painting_is_clipped_at_the_box():
    found = nuclei_from_masks([((-2, -2), np.ones((4, 4), bool)), ((3, 3), np.ones((9, 9), bool))])
    labels = labels_from_nuclei(found, Box(0, 0, 5, 5))
    whole = np.zeros((5, 5), np.int32)
    whole[:2, :2], whole[3:, 3:] = 1, 2
    np.testing.assert_array_equal(labels, whole)


def test_masks_may_overlap_and_empty_ones_are_left_out():
    square = np.ones((3, 3), bool)
    found = nuclei_from_masks(
        [((0, 0), square), ((9, 9), ~square), ((1, 1), square)], np.array([0.1, 0.2, 0.3], np.float32)
    )
    assert found.box.tolist() == [[0, 0, 3, 3], [1, 1, 4, 4]]
    np.testing.assert_allclose(found.score, [0.1, 0.3], rtol=1e-6)


@pytest.mark.parametrize("labels", [np.full((2, 2), -1), np.full((2, 2), 2_000_000)])
def test_labels_that_are_not_counted_from_one_are_refused(labels):
    with pytest.raises(ValueError, match="relabel_sequential"):
        nuclei_from_labels(labels.astype(np.int32), (0, 0))


def test_missing_scores_are_refused():
    with pytest.raises(ValueError, match="one score for each label"):
        nuclei_from_labels(np.full((2, 2), 3, np.int32), (0, 0), np.ones(2, np.float32))
    with pytest.raises(ValueError, match="one for each mask"):
        nuclei_from_masks([], np.ones(2, np.float32))


def test_nothing_gives_nothing():
    assert len(nuclei_from_labels(np.zeros((4, 4), np.int32), (0, 0))) == 0
    assert len(nuclei_from_labels(np.zeros((0, 4), np.int32), (0, 0))) == 0
    assert len(nuclei_from_masks([])) == 0
