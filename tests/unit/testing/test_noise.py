"""The random numbers and fields everything synthetic is made of."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sac_wsi.testing.hashing import draw, draw_bell, mix, place_key
from sac_wsi.testing.noise import noise_at, noise_row

PLACES = st.integers(-(2**40), 2**40)


def test_mix_is_splitmix64():
    assert int(mix(np.uint64(0x9E3779B97F4A7C15))) == 0xE220A8397B1DCDAF


def test_draws_are_uniform_and_bells_are_normal():
    key = place_key(5, -3, 8)
    draws = np.array([draw(key, i) for i in range(20_000)])
    assert 0 <= draws.min() < draws.max() < 1
    np.testing.assert_allclose([draws.mean(), draws.var()], [1 / 2, 1 / 12], atol=0.005)
    bells = np.array([draw_bell(key, 4 * i) for i in range(20_000)])
    np.testing.assert_allclose([bells.mean(), bells.var()], [0, 1], atol=0.03)


def test_mirrored_places_are_unrelated():
    keys = {int(place_key(1, y, x)) for y in range(-20, 20) for x in range(-20, 20)}
    assert len(keys) == 1600


@given(PLACES, PLACES, st.integers(0, 12), st.integers(1, 40))
@settings(deadline=None)
def test_a_row_of_noise_is_the_field_at_its_pixels(y, x0, shift, count):
    row = np.empty(count, np.float32)
    noise_row(9, y, x0, shift, row)
    np.testing.assert_array_equal(row, [noise_at(9, y, x0 + i, shift) for i in range(count)])
    assert row.min() >= 0
    assert row.max() <= 1
