"""Test crops: labels move with the pixels, the generator decides all, TIAToolbox changes only stains."""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sac_wsi.errors import ConfigError
from sac_wsi.testing import SyntheticSlide
from sac_wsi.train import tiatoolbox_stain
from sac_wsi.train.augment import NONE, AugmentSettings, random_crop

MOVES = replace(NONE, turn=True, scale=0.5, elastic_px=3.0)

sizes = st.integers(1, 40)
sides = st.integers(1, 48)
seeds = st.integers(0, 2**32)
zooms = st.floats(0.25, 4)
settings = st.builds(
    AugmentSettings,
    turn=st.booleans(),
    scale=st.floats(0, 1),
    elastic_px=st.floats(0, 5),
    stain=st.floats(0, 0.5),
    colour=st.floats(0, 0.5),
    blur_px=st.floats(0, 2),
    jpeg=st.floats(0, 1),
    noise=st.floats(0, 10),
    density=st.floats(0, 2),
    hue=st.floats(0, 0.2),
)
with_strands = settings.flatmap(lambda how: st.builds(replace, st.just(how), strands=st.floats(0, 1)))


def coded(height, width, seed):
    """Blobs of labels, gaps and large numbers among them; each bit of a label's rank lights one colour."""
    numbers = np.array([0, 1, 2, 7, 300, 65_536, 2**24 + 1, 2**31 - 1])
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 8, (height // 5 + 1, width // 5 + 1))
    rank = np.kron(coarse, np.ones((5, 5), int))[:height, :width]
    rgb = (rank[..., None] >> np.arange(3) & 1) * 255
    return rgb.astype(np.uint8), numbers[rank].astype(np.int32), numbers


def crop_of(pair, side, how, seed, zoom=1.0):
    return random_crop(*pair[:2], side, how, np.random.default_rng(seed), zoom)


@given(sizes, sizes, sides, with_strands, seeds, zooms)
def test_the_same_seed_gives_the_same_crop(height, width, side, how, seed, zoom):
    pair = coded(height, width, seed)
    before = pair[0].copy(), pair[1].copy()
    rgb, labels = crop_of(pair, side, how, seed, zoom)
    assert (rgb.shape, rgb.dtype, labels.shape, labels.dtype) == (
        (side, side, 3),
        "uint8",
        (side, side),
        "int32",
    )
    again = crop_of(pair, side, how, seed, zoom)
    np.testing.assert_array_equal(rgb, again[0])
    np.testing.assert_array_equal(labels, again[1])
    np.testing.assert_array_equal(pair[0], before[0])
    np.testing.assert_array_equal(pair[1], before[1])


@given(seeds, st.sampled_from([(0.0, 0.0), (-1.0, 0.0), (2.0, -3.0)]), st.sampled_from([0.5, 1.0, 2.0]))
def test_label_offset_stays_the_same_when_a_crop_is_rotated(seed, offset_yx, zoom):
    """The vector from the centre of a disc to the centre of its label is always the same."""
    y, x = np.mgrid[:120, :120]
    disc = (y - 60) ** 2 + (x - 60) ** 2 < 18**2
    labels = np.roll(disc, [int(v) for v in offset_yx], (0, 1)).astype(np.int32)
    rgb = np.repeat(np.where(disc, 255, 0).astype(np.uint8)[..., None], 3, axis=2)
    how = replace(NONE, turn=True)
    crop, cut = random_crop(rgb, labels, round(120 * zoom), how, np.random.default_rng(seed), zoom, offset_yx)
    way = np.argwhere(cut > 0).mean(axis=0) - np.argwhere(crop[..., 0] > 127).mean(axis=0)
    np.testing.assert_allclose(way, np.array(offset_yx) * zoom, atol=0.6)


def test_another_seed_gives_another_crop():
    pair = coded(40, 40, 0)
    assert len({crop_of(pair, 16, AugmentSettings(), seed)[0].tobytes() for seed in range(20)}) == 20


@given(sizes, sizes, sides, seeds)
def test_without_augmentation_a_crop_is_a_piece_of_the_mirrored_image(height, width, side, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    labels = np.arange(height * width, dtype=np.int32).reshape(height, width)
    crop, cut = random_crop(rgb, labels, side, NONE, np.random.default_rng(seed))
    y, x = np.divmod(cut, width)
    np.testing.assert_array_equal(crop, rgb[y, x])
    if side <= min(height, width):
        np.testing.assert_array_equal(cut, labels[y[0, 0] :, x[0, 0] :][:side, :side])


def test_without_augmentation_every_position_is_drawn():
    labels = np.arange(7 * 6, dtype=np.int32).reshape(7, 6)
    rgb = np.zeros((7, 6, 3), np.uint8)
    rng = np.random.default_rng(0)
    begins = {int(random_crop(rgb, labels, 4, NONE, rng)[1][0, 0]) for _ in range(300)}
    assert begins == set(labels[:4, :3].ravel().tolist())


@given(sizes, sizes, sides, seeds, st.floats(0.8, 4), st.booleans(), st.floats(0, 1), st.floats(0, 5))
def test_labels_move_with_the_pixels(height, width, side, seed, zoom, turn, scale, bend):
    pair = coded(height, width, seed)
    how = replace(NONE, turn=turn, scale=scale, elastic_px=bend)
    rgb, labels = crop_of(pair, side, how, seed, zoom)
    rank = np.searchsorted(pair[2], labels)
    lit = (rank[..., None] >> np.arange(3) & 1).astype(bool)
    # the nearest of four neighbours has a quarter of the weight or more
    assert (rgb[lit] >= 63).all()
    assert (rgb[~lit] <= 192).all()
    # and where a colour is pure, all that count have the same label
    pure = np.isin(rgb, (0, 255)).all(axis=2)
    np.testing.assert_array_equal(rgb[pure], 255 * lit[pure])


def test_most_of_a_crop_is_inside_a_blob():
    rgb, _ = crop_of(coded(40, 40, 0), 32, MOVES, 0, zoom=3.0)
    assert np.isin(rgb, (0, 255)).all(axis=2).mean() > 0.5


@given(sizes, sizes, sides, with_strands, seeds, zooms)
def test_crop_has_only_labels_of_the_image(height, width, side, how, seed, zoom):
    pair = coded(height, width, seed)
    hidden = {0} if how.strands else set()
    assert set(np.unique(crop_of(pair, side, how, seed, zoom)[1])) <= hidden | set(np.unique(pair[1]))


def test_strands_hide_what_they_cover_and_nothing_else():
    rgb, labels = np.full((128, 128, 3), 200, np.uint8), np.ones((128, 128), np.int32)
    rgb[:40] = 60, 30, 90
    how = replace(NONE, strands=1.0)
    shares = []
    for seed in range(20):
        painted, cut = crop_of((rgb, labels), 128, how, seed)
        unseen = (painted == rgb).all(axis=2)
        shares.append((cut == 0).mean())
        assert not (cut == 0)[40:][unseen[40:]].any()  # the dark rows have the strands' own colour
    assert 0.02 < np.mean(shares) < 0.6


def test_density_makes_tissue_darker_and_lighter_and_leaves_glass_alone():
    tissue, glass = np.full((32, 32, 3), (180, 120, 170), np.uint8), np.full((32, 32, 3), 255, np.uint8)
    labels = np.zeros((32, 32), np.int32)
    how = replace(NONE, density=1.5)
    means = [crop_of((tissue, labels), 32, how, seed)[0].mean() for seed in range(30)]
    assert min(means) < 110 < tissue.mean() < 195 < max(means)
    assert all((crop_of((glass, labels), 32, how, seed)[0] >= 254).all() for seed in range(5))


@given(sizes, sizes, sides, settings, seeds, zooms)
def test_colour_changes_do_not_change_the_labels(height, width, side, how, seed, zoom):
    """The random numbers for the position of a crop are drawn first."""
    pair = coded(height, width, seed)
    plain = replace(NONE, turn=how.turn, scale=how.scale, elastic_px=how.elastic_px)
    np.testing.assert_array_equal(
        crop_of(pair, side, how, seed, zoom)[1], crop_of(pair, side, plain, seed, zoom)[1]
    )


@given(st.integers(1, 30), st.integers(1, 30), seeds)
def test_zoom_is_pixels_of_the_crop_per_pixel_of_the_image(height, width, seed):
    labels = np.arange(height * width, dtype=np.int32).reshape(height, width)
    rgb = np.zeros((height, width, 3), np.uint8)
    _, cut = random_crop(rgb, labels, 3 * max(height, width), NONE, np.random.default_rng(seed), 3.0)
    if height == width:
        np.testing.assert_array_equal(cut, np.kron(labels, np.ones((3, 3), np.int32)))
    assert len(np.unique(cut)) == height * width


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scale": -1.0}, r"augment\.scale is -1\.0: needed at least 0"),
        ({"density": -0.1}, r"augment\.density is -0\.1: needed at least 0"),
        ({"strands": 2.0}, r"augment\.strands is 2\.0: needed"),
        ({"noise": float("nan")}, r"augment\.noise is nan"),
        ({"jpeg": 1.5}, r"augment\.jpeg is 1\.5: needed at least 0 and at most 1"),
        ({"normalise": -0.1}, r"augment\.normalise"),
        ({"tiatoolbox": 0.5, "stain": 0.0}, r"needed augment\.stain above 0"),
    ],
)
def test_settings_out_of_range(values, message):
    with pytest.raises(ConfigError, match=message):
        AugmentSettings(**values)


@pytest.mark.parametrize("name", ["normalise", "tiatoolbox"])
def test_without_tiatoolbox_the_config_says_what_to_install(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "tiatoolbox", None)
    with pytest.raises(ConfigError, match=r'pip install "sac-wsi\[tiatoolbox\]"'):
        AugmentSettings(**{name: 0.5})
    AugmentSettings()


def test_a_tiatoolbox_that_cannot_be_imported_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tiatoolbox.data", None)
    tiatoolbox_stain._load.cache_clear()
    with pytest.raises(ConfigError, match=r'cannot be imported .* pip install "sac-wsi\[tiatoolbox\]"'):
        tiatoolbox_stain.normalised(np.zeros((8, 8, 3), np.uint8))


@pytest.fixture(scope="module")
def tissue():
    pytest.importorskip("tiatoolbox")
    slide = SyntheticSlide(seed=1, shape_yx=(96, 96), mpp=0.5)
    return slide.render(slide.box)


def _blank(kind):
    rng = np.random.default_rng(0)
    white = np.full((64, 64, 3), 255, np.uint8)
    speck = white.copy()
    speck[3, 4] = 90, 20, 120
    return {
        "white": white,
        "black": white * 0,
        "one colour": np.full((64, 64, 3), (200, 120, 180), np.uint8),
        "grey": np.repeat(rng.integers(90, 256, (64, 64, 1)), 3, axis=2).astype(np.uint8),
        "grey fluorescence": np.repeat(rng.integers(0, 60, (64, 64, 1)), 3, axis=2).astype(np.uint8),
        "coloured fluorescence": rng.integers(0, (20, 20, 90), (64, 64, 3)).astype(np.uint8),
        "one speck": speck,
        "one pixel": np.full((1, 1, 3), 200, np.uint8),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "white",
        "black",
        "one colour",
        "grey",
        "grey fluorescence",
        "coloured fluorescence",
        "one speck",
        "one pixel",
    ],
)
def test_crop_without_two_stains_is_not_changed(tissue, kind):
    crop = _blank(kind)
    np.testing.assert_array_equal(tiatoolbox_stain.normalised(crop.copy()), crop)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(tiatoolbox_stain.restained(crop.copy(), 0.5, rng), crop)


def test_stain_depends_only_on_the_generator_with_any_number_of_threads(tissue):
    how = AugmentSettings(normalise=0.5, tiatoolbox=0.7)
    labels = np.zeros(tissue.shape[:2], np.int32)

    def one(seed):
        return random_crop(tissue, labels, 64, how, np.random.default_rng(seed))[0].tobytes()

    alone = [one(seed) for seed in range(24)]
    np.random.seed(1)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(24))) == alone
    assert len(set(alone)) == 24


def test_normalising_equals_that_of_tiatoolbox(tissue):
    from tiatoolbox.data import stain_norm_target
    from tiatoolbox.tools.stainnorm import MacenkoNormalizer

    whole = MacenkoNormalizer()
    whole.fit(stain_norm_target())
    ours = tiatoolbox_stain.normalised(tissue)
    np.testing.assert_array_equal(ours, whole.transform(tissue.copy()))
    assert np.abs(ours.astype(int) - tissue).mean() > 10


def test_a_new_stain_stays_within_its_amount(tissue):
    def change(amount):
        rng = np.random.default_rng(3)
        return np.abs(tiatoolbox_stain.restained(tissue, amount, rng).astype(int) - tissue).mean()

    # what is left at 0 lies off the plane of two stains
    assert change(0.0) < 5
    assert change(0.0) < change(0.1) < change(0.4)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@given(shape=st.tuples(st.integers(1, 32), st.integers(1, 32)), low=st.integers(0, 255), seed=seeds)
def test_no_pixels_make_tiatoolbox_fail(tissue, shape, low, seed):
    crop = np.random.default_rng(seed).integers(low, 256, (*shape, 3), np.uint8)
    before = crop.copy()
    for changed in (
        tiatoolbox_stain.normalised(crop),
        tiatoolbox_stain.restained(crop, 0.5, np.random.default_rng(seed)),
    ):
        assert (changed.shape, changed.dtype) == (crop.shape, np.uint8)
    np.testing.assert_array_equal(crop, before)


def test_tiatoolbox_leaves_the_logs_of_others_alone(tissue):
    handlers = list(logging.getLogger().handlers)
    tiatoolbox_stain._load.cache_clear()
    tiatoolbox_stain.normalised(tissue)
    assert logging.getLogger().handlers == handlers
