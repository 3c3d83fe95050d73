"""Points from maps, against brute force on single regions and pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from sac_wsi.errors import ConfigError
from sac_wsi.model.points.peaks import peaks
from sac_wsi.model.points.prompts import (
    _SMOOTH_PX,
    _STEPS,
    MOST_POINTS,
    CentreSettings,
    Points,
    PointSettings,
    expert_points,
    neighbours,
    nucleus_centres,
    select,
)
from sac_wsi.nuclei.label_maps import depth_px, region_centres

SHAPES = st.tuples(st.integers(1, 14), st.integers(1, 14))
LABEL_MAPS = arrays(np.int32, SHAPES, elements=st.sampled_from([0, 1, 2, 5]))
# thousandths: no value lies on a threshold by rounding
PROBABILITIES = arrays(np.int32, SHAPES, elements=st.integers(0, 1000)).map(
    lambda p: (p / 1000).astype(np.float32)
)
SEEDS = st.integers(0, 2**32 - 1)


def yx_of(points):
    return points.xy[:, ::-1].astype(int)


def value_at(image, yx):
    return image[yx[:, 0], yx[:, 1]]


# --- select --------------------------------------------------------------------------------------


@given(PROBABILITIES, st.sampled_from([0.5, 0.7501, 0.9001]), st.integers(0, 9), st.integers(0, 9))
def test_o_takes_the_largest_regions_of_nuclei_and_of_background(prob, tau, positive, negative):
    settings = PointSettings("O", tau, positive, negative)
    points = select(prob, settings, np.random.default_rng(0))
    yx = yx_of(points)
    np.testing.assert_array_equal(yx[points.positive], region_centres(prob > tau)[:positive])
    np.testing.assert_array_equal(yx[~points.positive], region_centres(1 - prob > tau)[:negative])


@given(PROBABILITIES, st.sampled_from([0.5, 0.7501, 0.9001]), st.integers(0, 200), st.integers(0, 9), SEEDS)
def test_r_takes_distinct_pixels_above_tau(prob, tau, positive, negative, seed):
    points = select(prob, PointSettings("R", tau, positive, negative), np.random.default_rng(seed))
    yx = yx_of(points)
    assert (value_at(prob, yx[points.positive]) > tau).all()
    assert (value_at(1 - prob, yx[~points.positive]) > tau).all()
    assert points.positive.sum() == min(positive, (prob > tau).sum())
    assert (~points.positive).sum() == min(negative, (1 - prob > tau).sum())
    assert len(np.unique(yx, axis=0)) == len(points)


def test_the_same_generator_draws_the_same_points():
    prob = np.random.default_rng(0).random((50, 60), np.float32)
    settings = PointSettings("R")
    first, again, other = (select(prob, settings, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.xy, again.xy)
    assert (first.xy != other.xy).any()


def test_points_are_x_before_y_in_float32_and_join_in_order():
    points = Points.at(np.array([[3, 7]]), True).concat(Points.at(np.array([[1, 2], [0, 5]]), False))
    assert len(points) == 3
    assert points.xy.tolist() == [[7, 3], [2, 1], [5, 0]]
    assert points.positive.tolist() == [True, False, False]
    assert (points.xy.dtype, points.positive.dtype) == (np.float32, bool)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mode": "o"}, "points.mode is 'o': needed O or R. Set sac.points.mode=O."),
        ({"tau": 1.0}, "points.tau is 1.0: needed at least 0 and below 1"),
        ({"tau": float("nan")}, "points.tau is nan"),
        (
            {"positive": MOST_POINTS + 1},
            "points.positive is 257: needed at least 0 and at most 256",
        ),
        ({"negative": -1}, "points.negative is -1"),
        ({"seed": -1}, "points.seed is -1"),
    ],
)
def test_wrong_point_settings_are_refused_by_name(wrong, message):
    with pytest.raises(ConfigError, match=message):
        PointSettings(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"foreground": -0.1}, "centres.foreground is -0.1"),
        ({"min_prominence": 0.0}, "centres.min_prominence is 0.0"),
    ],
)
def test_wrong_centre_settings_are_refused_by_name(wrong, message):
    with pytest.raises(ConfigError, match=message):
        CentreSettings(**wrong)


def test_as_many_points_as_the_limit_are_allowed():
    assert PointSettings(positive=MOST_POINTS, negative=MOST_POINTS).negative == 256


# --- expert_points -------------------------------------------------------------------------------


@given(LABEL_MAPS, st.integers(0, 250), SEEDS)
def test_an_expert_sets_distinct_points_and_none_twice_in_a_nucleus_before_each_has_one(labels, count, seed):
    points = expert_points(labels, count, np.random.default_rng(seed))
    yx = yx_of(points)
    assert len(points) == min(count, (labels > 0).sum())
    assert points.positive.all()
    assert len(np.unique(yx, axis=0)) == len(points)
    owner = value_at(labels, yx)
    assert (owner > 0).all()
    nuclei = len(np.unique(labels[labels > 0]))
    assert len(set(owner[:nuclei].tolist())) == min(count, nuclei)


def test_an_expert_points_at_the_inner_half_first():
    labels = np.zeros((40, 80), int)
    labels[5:35, 5:35], labels[5:35, 35:75] = 4, 9
    depth = depth_px(labels)
    for seed in range(20):
        yx = yx_of(expert_points(labels, 10, np.random.default_rng(seed)))
        assert value_at(depth, yx).min() > 7.5
        assert np.bincount(value_at(labels, yx))[[4, 9]].tolist() == [5, 5]


def test_two_experts_differ_and_one_repeats_itself():
    labels = np.repeat(np.arange(1, 31), 30).reshape(30, 30)
    first, again, other = (expert_points(labels, 5, np.random.default_rng(seed)).xy for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


# --- nucleus_centres and neighbours --------------------------------------------------------------


@given(
    arrays(np.float32, (12, 12), elements=st.floats(0, 1, width=32)),
    arrays(np.bool_, (12, 12)),
    st.floats(0.01, 0.5),
)
def test_nucleus_centres_are_on_the_foreground_one_for_each_peak_in_reading_order(
    depth, inside, min_prominence
):
    foreground = np.where(inside, np.float32(0.6), np.float32(0.5))  # on the threshold is not above it
    found = nucleus_centres(
        np.stack([foreground, depth, depth]), CentreSettings(min_prominence=min_prominence)
    )
    assert found.dtype == np.int32
    assert inside[found[:, 0], found[:, 1]].all()
    assert found.tolist() == sorted(found.tolist())
    _, regions = ndimage.label(inside, np.ones((3, 3)))
    relief = ndimage.gaussian_filter(depth, _SMOOTH_PX, mode="nearest")
    height = np.rint(relief * _STEPS).astype(np.int32)
    assert len(found) == peaks(height, inside, round(min_prominence * _STEPS)).max(initial=0) >= regions
    fewer = nucleus_centres(np.stack([foreground, depth, depth]), CentreSettings(min_prominence=1.0))
    assert len(fewer) == regions


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=20),  # few places: many ties
    st.integers(0, 6),
)
def test_neighbours_are_the_nearest_others_and_ties_go_by_position(places, k):
    yx = np.array(places, np.int32).reshape(-1, 2)
    found = neighbours(yx, k)
    assert (found.shape, found.dtype) == ((len(yx), k), np.int32)
    for i, row in enumerate(found.tolist()):
        others = [j for j in range(len(yx)) if j != i]
        others.sort(key=lambda j: (int(((yx[i] - yx[j]) ** 2).sum()), j))
        assert row == (others + [-1] * k)[:k]


def test_nothing_in_no_points_out():
    rng = np.random.default_rng(0)
    none = np.zeros((4, 5), np.float32)
    assert len(select(none, PointSettings(negative=0), rng)) == 0
    assert select(none, PointSettings("R", negative=0), rng).xy.shape == (0, 2)
    assert expert_points(none.astype(int), 3, rng).xy.shape == (0, 2)
    assert nucleus_centres(np.stack([none] * 3), CentreSettings()).shape == (0, 2)
    assert region_centres(none > 0).shape == (0, 2)
