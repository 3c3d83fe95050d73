"""Peaks against their definition by morphological reconstruction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction

from sac_wsi.model.points.peaks import peaks

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
EIGHT = np.ones((3, 3))
FAR_BELOW = -1000


@st.composite
def reliefs(draw):
    shape = draw(SHAPES)
    return draw(arrays(np.int32, shape, elements=st.integers(0, 9))), draw(arrays(np.bool_, shape))


def by_reconstruction(height, mask, min_prominence):
    """Regional maxima of the relief lowered by ``min_prominence - 1`` and grown back under itself."""
    height = np.pad(np.where(mask, height, FAR_BELOW), 1, constant_values=FAR_BELOW)
    flat = reconstruction(height - (min_prominence - 1), height).astype(int)
    return (local_maxima(flat, connectivity=2) & (height > FAR_BELOW))[1:-1, 1:-1]


@given(reliefs(), st.integers(1, 6))
def test_peaks_are_the_extended_maxima(relief, min_prominence):
    found = peaks(*relief, min_prominence)
    expected = by_reconstruction(*relief, min_prominence)
    np.testing.assert_array_equal(found > 0, expected)
    regions, count = ndimage.label(expected, EIGHT)
    assert found.max(initial=0) == count
    assert len(np.unique(np.stack([found, regions])[:, expected], axis=1).T) == count


@given(reliefs(), st.integers(1, 6))
def test_labels_run_from_the_highest_peak_down(relief, min_prominence):
    height, _ = relief
    found = peaks(*relief, min_prominence)
    tops = [height[found == label].max() for label in range(1, found.max(initial=0) + 1)]
    assert tops == sorted(tops, reverse=True)


def test_a_faint_nucleus_beside_a_clear_one_has_a_peak():
    row = np.array([[0, 50, 90, 60, 30, 36, 41, 20, 0]], np.int32)
    assert peaks(row, row > 0, 10).tolist() == [[0, 0, 1, 0, 0, 2, 2, 0, 0]]
    assert peaks(row, row > 0, 12).max() == 1


def test_impossible_arguments_are_refused():
    with pytest.raises(ValueError, match="min_prominence is 0"):
        peaks(np.zeros((2, 2), np.int32), np.ones((2, 2), bool), 0)
    with pytest.raises(ValueError, match="needed one shape"):
        peaks(np.zeros((2, 2), np.int32), np.ones((2, 3), bool), 1)
