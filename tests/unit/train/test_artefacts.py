"""Each artefact keeps what is not under it, and its labels stay those of nuclei that can be recognised."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sac_wsi.train.artefacts import ARTEFACTS, with_artefact
from sac_wsi.train.augment import NONE, AugmentSettings, random_crop

SIDE = 96


def a_crop(seed=0):
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(40, 230, (SIDE, SIDE, 3)).astype(np.float32)
    labels = np.zeros((SIDE, SIDE), np.int32)
    for number, (y, x) in enumerate(rng.integers(0, SIDE - 12, (12, 2)), 1):
        labels[y : y + 12, x : x + 12] = number
    return pixels, labels


@pytest.mark.parametrize("name", ARTEFACTS)
@given(st.integers(0, 2**32 - 1))
def test_shapes_types_and_labels(name, seed):
    pixels, labels = a_crop()
    changed, kept = ARTEFACTS[name](pixels, labels, np.random.default_rng(seed))
    assert (changed.shape, changed.dtype) == (pixels.shape, np.float32)
    assert (kept.shape, kept.dtype) == (labels.shape, np.int32)
    assert np.isfinite(changed).all()
    assert ((kept == labels) | (kept == 0)).all()
    for number in np.unique(kept[kept > 0]):
        assert (kept == number).sum() >= 0.4 * (labels == number).sum()
    np.testing.assert_array_equal(pixels, a_crop()[0])  # the input is not changed
    np.testing.assert_array_equal(labels, a_crop()[1])


@pytest.mark.parametrize("name", ARTEFACTS)
def test_each_changes_some_pixels_and_leaves_others(name):
    pixels, labels = a_crop()
    changed = [ARTEFACTS[name](pixels, labels, np.random.default_rng(seed))[0] for seed in range(12)]
    moved = np.mean([(np.abs(each - pixels) > 1).any(axis=2).mean() for each in changed])
    assert 0.005 < moved < 0.9


def test_the_same_seed_gives_the_same_artefact():
    first, again, other = (with_artefact(*a_crop(), np.random.default_rng(seed))[0] for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_random_crops_get_them_by_their_probability():
    pixels, labels = a_crop()
    rgb = pixels.astype(np.uint8)
    always = AugmentSettings(**{**vars(NONE), "artefacts": 1.0})
    for seed in range(3):
        plain, changed = (
            random_crop(rgb, labels, 64, each, np.random.default_rng(seed))[0] for each in (NONE, always)
        )
        assert (plain != changed).any()
