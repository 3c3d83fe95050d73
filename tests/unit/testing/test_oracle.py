"""The oracle sees what a perfect or slightly wavering model would see of a tile."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sac_wsi.geometry import Box
from sac_wsi.nuclei.masks import labels_from_nuclei, nuclei_from_labels, nuclei_from_masks
from sac_wsi.testing import NothingSegmenter, OracleSegmenter, SyntheticSlide
from sac_wsi.tiling.segmenter import RgbTile, Segmenter

if TYPE_CHECKING:
    from sac_wsi.nuclei.columns import Nuclei

SLIDE = SyntheticSlide(seed=7, shape_yx=(1200, 1300))
NO_PIXELS = np.zeros((1, 1, 3), np.uint8)
CORNERS = st.tuples(st.integers(0, 900), st.integers(0, 900))


def tile_at(y0, x0, size=300):
    return RgbTile(NO_PIXELS, Box(y0, x0, y0 + size, x0 + size))


def assert_same(one: Nuclei, other: Nuclei) -> None:
    for name, column in one.columns().items():
        np.testing.assert_array_equal(column, other.columns()[name], err_msg=name)


@given(CORNERS)
@settings(deadline=None)
def test_without_jitter_it_is_the_truth_cut_at_the_tile(corner):
    tile = tile_at(*corner)
    [found] = OracleSegmenter(SLIDE).segment([tile])
    labels = labels_from_nuclei(SLIDE.truth(tile.read), tile.read)
    expected = nuclei_from_labels(labels, corner)
    assert_same(found.replace(score=expected.score), expected)
    assert found.score.min() >= 0.5
    assert found.score.max() <= 1


@given(CORNERS, st.integers(1, 5), st.integers(0, 3))
@settings(deadline=None)
def test_jittered_masks_are_single_pieces_inside_the_tile(corner, jitter_px, seed):
    tile = tile_at(*corner)
    [found] = OracleSegmenter(SLIDE, jitter_px=jitter_px, seed=seed).segment([tile])
    corners = found.box[:, :2].tolist()
    cleaned = nuclei_from_masks([((y, x), found.mask(i)) for i, (y, x) in enumerate(corners)], found.score)
    assert_same(found, cleaned)
    assert (found.box >= [*corner, *corner]).all()
    assert (found.box <= [corner[0] + 300, corner[1] + 300] * 2).all()


def test_jitter_moves_whole_nuclei_by_whole_pixels_within_bounds():
    tile = RgbTile(NO_PIXELS, Box(-50, -50, 1300, 1400))
    apart = replace(SLIDE, touching_fraction=0)
    [still], [moved] = (OracleSegmenter(apart, jitter_px=j).segment([tile]) for j in (0, 3))
    assert len(still) == len(moved)
    corner_moves = moved.box[:, :2] - still.box[:, :2]
    assert np.abs(corner_moves).max() == 4  # 3 of jitter, 1 of growth
    same_size = moved.area_px == still.area_px
    assert 0.2 < same_size.mean() < 0.5
    assert set(np.unique(corner_moves[same_size])) == set(range(-3, 4))
    grown = moved.area_px > still.area_px
    assert 0.2 < grown.mean() < 0.5


def test_an_answer_depends_on_its_tile_alone():
    oracle = OracleSegmenter(SLIDE, jitter_px=2, seed=5)
    tiles = [tile_at(0, 0), tile_at(200, 100), tile_at(0, 0)]
    first, second, third = pickle.loads(pickle.dumps(oracle)).segment(tiles)  # noqa: S301 - our own bytes
    assert_same(first, third)
    assert_same(second, oracle.segment([tiles[1]])[0])


def test_each_tile_sees_a_nucleus_in_its_own_way():
    oracle = OracleSegmenter(SLIDE, jitter_px=2)
    one, other = oracle.segment([tile_at(0, 0, 600), tile_at(0, 20, 600)])
    assert set(map(tuple, one.box.tolist())) != set(map(tuple, other.box.tolist()))
    [reseeded] = OracleSegmenter(SLIDE, jitter_px=2, seed=1).segment([tile_at(0, 0, 600)])
    assert (reseeded.score[:20] != one.score[:20]).all()


def test_the_fingerprint_tells_settings_apart():
    oracles = [OracleSegmenter(SLIDE), OracleSegmenter(SLIDE, 1), OracleSegmenter(SLIDE, 1, 1)]
    oracles.append(OracleSegmenter(SyntheticSlide(seed=8, shape_yx=(1200, 1300))))
    assert len({oracle.fingerprint for oracle in oracles}) == 4
    assert OracleSegmenter(SLIDE).fingerprint == oracles[0].fingerprint


def test_nothing_is_found_by_the_one_that_finds_nothing():
    segmenters: list[Segmenter] = [NothingSegmenter(mpp=0.5), OracleSegmenter(SLIDE)]
    nothing = segmenters[0]
    assert [len(found) for found in nothing.segment([tile_at(0, 0), tile_at(9, 9)])] == [0, 0]
    assert (nothing.mpp, nothing.name) == (0.5, "nothing")
    assert len({s.fingerprint for s in segmenters}) == 2
