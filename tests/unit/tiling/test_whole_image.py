"""An image in memory is segmented with the same stitching as a slide."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sac_wsi.evaluate.metrics import score_image
from sac_wsi.nuclei.columns import Nuclei
from sac_wsi.nuclei.masks import labels_from_nuclei, nuclei_from_labels
from sac_wsi.testing import SyntheticSlide
from sac_wsi.tiling.whole_image import label_image


def oracle(slide):
    """Return a function that finds the true nuclei of each tile, cut at the tile's edge."""

    def find(tiles):
        for tile in tiles:
            assert tile.rgb.shape[:2] == tile.read.shape
        return [
            nuclei_from_labels(
                labels_from_nuclei(slide.truth(tile.read), tile.read), (tile.read.y0, tile.read.x0)
            )
            for tile in tiles
        ]

    return find


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    tile=st.integers(128, 420),
    seed=st.integers(0, 99),
)
def test_tiles_give_the_true_labels(shape, tile, seed):
    slide = SyntheticSlide(seed=seed, shape_yx=shape, mpp=0.5)
    truth = labels_from_nuclei(slide.truth(slide.box), slide.box)
    found = label_image(oracle(slide), slide.render(slide.box), tile, 40)
    assert found.shape == shape
    assert score_image(truth, found).pq == pytest.approx(1, abs=1e-9)


def test_labels_have_the_size_of_the_image_at_any_zoom():
    slide = SyntheticSlide(seed=1, shape_yx=(200, 300), mpp=0.5)
    rgb = slide.render(slide.box)

    def half(tiles):
        (tile,) = tiles
        assert tile.rgb.shape == (100, 150, 3)
        labels = labels_from_nuclei(slide.truth(slide.box), slide.box)[::2, ::2]
        return [nuclei_from_labels(np.ascontiguousarray(labels), (0, 0))]

    truth = labels_from_nuclei(slide.truth(slide.box), slide.box)
    found = label_image(half, rgb, 256, 20, zoom=0.5)
    assert found.shape == truth.shape
    assert score_image(truth, found).dice > 0.9


def test_two_masks_of_one_nucleus_become_one():
    square, shifted = np.zeros((20, 20), np.int32), np.zeros((20, 20), np.int32)
    square[2:12, 2:12], shifted[3:13, 3:13] = 1, 1
    far = np.zeros((20, 20), np.int32)
    far[10:18, 10:18] = 1

    def find(tiles):
        from sac_wsi.nuclei.columns import concat

        return [concat([nuclei_from_labels(m, (0, 0)) for m in (square, shifted, far)])]

    found = label_image(find, np.zeros((20, 20, 3), np.uint8), 64, 8)
    assert len(np.unique(found)) == 3


def test_an_image_without_nuclei():
    found = label_image(
        lambda tiles: [Nuclei.empty() for _ in tiles], np.zeros((300, 9, 3), np.uint8), 128, 9
    )
    assert found.shape == (300, 9)
    assert not found.any()
