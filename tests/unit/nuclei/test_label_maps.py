"""Centres, depths and numbers of the objects of a label map, against brute force on single pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from sac_wsi.nuclei.label_maps import (
    depth_px,
    label_centres,
    largest_label,
    region_centres,
    sequential,
    share_of_most,
)

SHAPES = st.tuples(st.integers(1, 14), st.integers(1, 14))
MASKS = arrays(np.bool_, SHAPES)
LABEL_MAPS = arrays(np.int32, SHAPES, elements=st.sampled_from([0, 1, 2, 5]))


def expected_centre(mask):
    ys, xs = np.nonzero(mask)
    n = len(ys)
    cy, cx = (2 * int(ys.sum()) + n) // (2 * n), (2 * int(xs.sum()) + n) // (2 * n)
    if mask[cy, cx]:
        return cy, cx
    nearest = min(range(n), key=lambda i: ((ys[i] - cy) ** 2 + (xs[i] - cx) ** 2, ys[i], xs[i]))
    return int(ys[nearest]), int(xs[nearest])


@given(MASKS)
def test_each_region_has_its_centre_and_the_largest_come_first(mask):
    regions, count = ndimage.label(mask)
    expected = [expected_centre(regions == i) for i in range(1, count + 1)]
    area = {yx: int((regions == i).sum()) for i, yx in enumerate(expected, 1)}
    found = region_centres(mask)
    assert found.dtype == np.int32
    assert [tuple(yx) for yx in found.tolist()] == sorted(expected, key=lambda yx: (-area[yx], yx))


@given(MASKS)
def test_every_centre_lies_in_a_region_of_its_own(mask):
    regions, count = ndimage.label(mask)
    assert sorted(regions[tuple(region_centres(mask).T)].tolist()) == list(range(1, count + 1))


@given(LABEL_MAPS)
def test_a_labels_centre_is_that_of_all_its_pieces(labels):
    labels = sequential(labels)
    centre_yx, area_px = label_centres(labels)
    assert area_px.tolist() == np.bincount(labels.ravel())[1:].tolist()
    assert [tuple(yx) for yx in centre_yx.tolist()] == [
        expected_centre(labels == i) for i in range(1, labels.max() + 1)
    ]


def test_the_centroid_of_a_ring_moves_to_the_nearest_pixel_that_is_read_first():
    ring = np.ones((5, 5), bool)
    ring[1:4, 1:4] = False
    assert region_centres(ring).tolist() == [[0, 2]]


@given(LABEL_MAPS)
def test_depth_is_the_distance_to_the_objects_own_border(labels):
    around = np.pad(labels, 1)
    beside = [np.roll(around, step, axis)[1:-1, 1:-1] for axis in (0, 1) for step in (-1, 1)]
    border = (labels != 0) & np.any([labels != other for other in beside], axis=0)
    expected = np.zeros(labels.shape)
    for y, x in np.argwhere(labels):
        own = np.argwhere(border & (labels == labels[y, x]))
        expected[y, x] = 1 + np.sqrt(((own - (y, x)) ** 2).sum(axis=1).min())
    np.testing.assert_allclose(depth_px(labels), expected)


@given(LABEL_MAPS)
def test_sequential_labels_are_scipys_ranks(labels):
    np.testing.assert_array_equal(
        sequential(labels), np.unique(np.append(0, labels), return_inverse=True)[1][1:].reshape(labels.shape)
    )


@pytest.mark.parametrize("labels", [[[-1, 0]], [[0, 1 << 30]]])
def test_labels_that_need_endless_tables_are_refused(labels):
    with pytest.raises(ValueError, match="relabel_sequential"):
        sequential(np.array(labels))


def test_an_empty_map_has_no_objects():
    assert largest_label(np.zeros((0, 3), np.int32)) == 0
    assert region_centres(np.zeros((4, 5), bool)).shape == (0, 2)


def test_values_become_shares_of_the_largest_of_their_owner():
    shares = share_of_most(np.array([1.0, 4.0, 0.0, 3.0]), np.array([0, 0, 2, 1]), 3)
    assert shares.tolist() == [0.25, 1, 0, 1]
