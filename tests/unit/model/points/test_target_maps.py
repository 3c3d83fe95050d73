"""The three maps, and that cutting them gives the nuclei back."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from sac_wsi.model.points.prompts import CentreSettings, nucleus_centres
from sac_wsi.model.points.target_maps import OFFSET_PX, target_maps
from sac_wsi.nuclei.label_maps import depth_px, label_centres, sequential

LABEL_MAPS = arrays(
    np.int32, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.sampled_from([0, 1, 2, 5])
)
SIDE_PX = 64
PLACES = st.floats(0, SIDE_PX - 1)
# cy, cx, minor semi-axis, major by minor, angle; down to a few pixels large
ELLIPSES = st.lists(
    st.tuples(PLACES, PLACES, st.floats(1, 12), st.floats(1, 1.8), st.floats(0, 3.2)), min_size=1, max_size=25
)


def touching_nuclei(ellipses):
    """A label map; between two ellipses that overlap, each pixel goes to the one it lies deeper in."""
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    apart = []
    for one in ellipses:  # more than half of one nucleus in another would be no two nuclei
        if all(np.hypot(one[0] - o[0], one[1] - o[1]) >= 0.8 * (one[2] + o[2]) for o in apart):
            apart.append(one)
    beyond = [np.ones(y.shape)]  # 0 at the centre of the ellipse, 1 on its outline
    for cy, cx, minor, ratio, angle in apart:
        along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        across = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        beyond.append((along / (minor * ratio)) ** 2 + (across / minor) ** 2)
    return largest_pieces(np.argmin(beyond, axis=0))


def largest_pieces(labels):
    kept = np.zeros_like(labels)
    for label in np.unique(labels[labels > 0]):
        pieces, _ = ndimage.label(labels == label)
        kept[pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])] = label
    return kept


def without_touching_slivers(labels):
    """Two touching nuclei that are all border are one core; nobody can tell them apart in the maps."""
    deepest = ndimage.maximum(depth_px(labels), labels, np.arange(labels.max() + 1))
    for label in np.flatnonzero(deepest == 1):
        around = labels[ndimage.binary_dilation(labels == label, np.ones((3, 3)))]
        if not np.isin(around, [0, label]).all():
            labels[labels == label] = 0
    return sequential(labels)


def without_specks(labels):
    """Below a square micrometre the deepest pixel may lie so far off the centre that none is both."""
    return sequential(np.where(np.bincount(labels.ravel())[labels] < 16, 0, labels))


@given(ELLIPSES)
def test_cutting_the_maps_gives_one_centre_inside_each_touching_nucleus(ellipses):
    labels = without_specks(without_touching_slivers(touching_nuclei(ellipses)))
    centre_yx = nucleus_centres(target_maps(labels), CentreSettings())
    assert sorted(labels[centre_yx[:, 0], centre_yx[:, 1]].tolist()) == list(range(1, labels.max() + 1))


@given(LABEL_MAPS, st.integers(3, 5))
def test_no_core_lies_in_two_nuclei_that_have_inner_pixels(labels, scale):
    labels = np.kron(labels, np.ones((scale, scale), np.int32))  # so no piece is thinner than three pixels
    cores, count = ndimage.label((target_maps(labels) > 0.5).all(axis=0), np.ones((3, 3)))
    for i in range(1, count + 1):
        assert len(np.unique(labels[cores == i])) == 1


@given(LABEL_MAPS)
def test_each_map_is_what_it_is_object_by_object(labels):
    maps = target_maps(labels)
    assert maps.dtype == np.float32
    np.testing.assert_array_equal(maps[0], labels > 0)
    assert not maps[:, labels == 0].any()
    centre_yx, _ = label_centres(sequential(labels))
    depth = depth_px(labels)
    for label, (cy, cx) in zip(np.unique(labels[labels > 0]), centre_yx, strict=True):
        ys, xs = np.nonzero(labels == label)
        far = np.hypot(ys - cy, xs - cx)
        np.testing.assert_allclose(maps[1, ys, xs], 1 - far / max(far.max(), 1), atol=1e-6)
        np.testing.assert_allclose(maps[2, ys, xs], depth[ys, xs] / depth[ys, xs].max(), atol=1e-6)


def test_a_disc_is_high_in_its_middle_and_falls_to_its_rim():
    y, x = np.mgrid[:21, :21]
    labels = ((y - 10) ** 2 + (x - 10) ** 2 <= 64).astype(int)
    _, centre, boundary = target_maps(labels)
    assert centre[10, 10] == boundary[10, 10] == 1
    assert (np.diff(centre[10, 10:19]) < 0).all()
    assert (np.diff(boundary[10, 10:19]) < 0).all()
    assert centre[10, 18] == 0


def test_touching_nuclei_and_the_edge_of_the_map_are_border():
    labels = np.repeat([[1, 1, 1, 2, 2, 2]], 3, axis=0)
    assert target_maps(labels)[2].tolist() == [[0.5] * 6, [0.5, 1, 0.5] * 2, [0.5] * 6]


def test_a_nucleus_of_one_pixel_is_its_own_centre():
    labels = np.zeros((3, 4), int)
    labels[1, 2] = 7
    assert target_maps(labels)[:, 1, 2].tolist() == [1, 1, 1]


def test_no_nuclei_give_empty_maps():
    assert target_maps(np.zeros((3, 4), int)).tolist() == np.zeros((3, 3, 4)).tolist()


@given(LABEL_MAPS)
def test_offsets_lead_from_each_pixel_to_the_centre_of_its_object(labels):
    maps = target_maps(labels, offsets=True)
    np.testing.assert_array_equal(maps[:3], target_maps(labels))
    labels = sequential(labels)
    centre_yx, _ = label_centres(labels)
    y, x = np.nonzero(labels)
    there = np.stack([y, x], axis=1) + maps[3:, y, x].T * OFFSET_PX
    np.testing.assert_allclose(there, centre_yx[labels[y, x] - 1], atol=1e-4)
    assert not maps[3:, labels == 0].any()
