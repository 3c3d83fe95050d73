from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import ndimage

from sac_wsi.classical.segmenter import ClassicalSegmenter, ClassicalSettings, ellipse_seeds, haematoxylin
from sac_wsi.errors import ConfigError
from sac_wsi.geometry import Box
from sac_wsi.nuclei.masks import labels_from_nuclei
from sac_wsi.tiling.segmenter import RgbTile

if TYPE_CHECKING:
    from sac_wsi.nuclei.columns import Nuclei

NUCLEUS, TISSUE, GLASS = (95, 60, 140), (225, 170, 205), (243, 243, 243)
SIDE = 256


def ellipses(places: list[tuple[float, float, float, float]]) -> np.ndarray:
    """(y, x, semi-axis y, semi-axis x) in pixels of 0.5 um."""
    yy, xx = np.mgrid[:SIDE, :SIDE]
    labels = np.zeros((SIDE, SIDE), np.int32)
    for i, (y, x, a, b) in enumerate(places, start=1):
        labels[((yy - y) / a) ** 2 + ((xx - x) / b) ** 2 <= 1] = i
    return labels


def painted(labels: np.ndarray, strength: float = 1.0, noise: float = 3.0, seed: int = 0) -> np.ndarray:
    """Nuclei on tissue with blurred edges and noise; ``strength`` thins the stain as a pale slide does."""
    edge = ndimage.gaussian_filter((labels > 0).astype(float), 0.8)[..., None]
    density = -np.log10((1 - edge) * np.array(TISSUE) / 243 + edge * np.array(NUCLEUS) / 243)
    rgb = 243 * 10 ** (-strength * density)
    rgb += np.random.default_rng(seed).normal(0, noise, rgb.shape)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def segment(rgb: np.ndarray, corner_yx: tuple[int, int] = (0, 0), **settings: float) -> Nuclei:
    read = Box.of_shape((rgb.shape[0], rgb.shape[1])).shift(*corner_yx)
    return ClassicalSegmenter(ClassicalSettings(**settings)).segment([RgbTile(rgb, read)])[0]


def grid_of_nuclei() -> np.ndarray:
    return ellipses([(y, x, 7, 9) for y in range(30, 240, 36) for x in range(30, 240, 36)])


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("strength", [0.35, 0.6, 1.0, 1.6])
def test_nuclei_are_found_on_pale_and_dark_slides(strength: float) -> None:
    truth = grid_of_nuclei()
    nuclei = segment(painted(truth, strength))
    found = labels_from_nuclei(nuclei, Box(0, 0, SIDE, SIDE))
    assert len(nuclei) == truth.max()
    for i in range(1, truth.max() + 1):
        partner = np.bincount(found[truth == i]).argmax()
        assert overlap(truth == i, found == partner) > 0.75
    assert (nuclei.score > 0.4).all()
    assert (nuclei.score <= 1).all()


def test_touching_nuclei_are_cut_apart() -> None:
    truth = ellipses([(100, 100, 9, 9), (100, 118, 9, 9), (180, 100, 8, 12), (195, 112, 8, 12)])
    assert len(segment(painted(truth))) == 4


def test_an_ellipse_stays_whole() -> None:
    assert len(segment(painted(ellipses([(100, 100, 7, 18), (180, 100, 14, 14)])))) == 2


def test_pale_centres_are_filled() -> None:
    truth = ellipses([(128, 128, 11, 11)])
    ring = truth - (ellipses([(128, 128, 4, 4)]) > 0)
    nuclei = segment(painted(ring))
    assert len(nuclei) == 1
    assert overlap(labels_from_nuclei(nuclei, Box(0, 0, SIDE, SIDE)) > 0, truth > 0) > 0.75


@pytest.mark.parametrize("colour", [GLASS, TISSUE, (200, 30, 40), (0, 0, 0), (255, 255, 255)])
@pytest.mark.parametrize("noise", [0.0, 6.0])
def test_even_areas_hold_no_nuclei(colour: tuple[int, int, int], noise: float) -> None:
    rgb = np.random.default_rng(1).normal(colour, noise, (SIDE, SIDE, 3))
    assert len(segment(np.clip(rgb, 0, 255).astype(np.uint8))) == 0


@pytest.mark.parametrize("ink", [(30, 60, 200), (20, 20, 20), (15, 60, 120), (20, 140, 120)])
def test_ink_gives_no_nuclei(ink: tuple[int, int, int]) -> None:
    stroke = ndimage.gaussian_filter(np.abs(np.mgrid[:SIDE, :SIDE][0] - 128) < 60.0, 3, output=float)
    rgb = (1 - stroke[..., None]) * np.array(GLASS) + stroke[..., None] * np.array(ink)
    rgb += np.random.default_rng(2).normal(0, 4, rgb.shape)
    ink_mm2 = 120 * SIDE * 0.5**2 / 1e6
    # dense tissue has some 10,000 nuclei per mm2
    assert len(segment(np.clip(rgb, 0, 255).astype(np.uint8))) / ink_mm2 < 3000


def test_a_nucleus_has_the_same_bits_in_every_tile() -> None:
    rng = np.random.default_rng(5)
    truth = ellipses([(*rng.uniform(5, 250, 2), *rng.uniform(5, 10, 2)) for _ in range(130)])
    rgb = painted(truth)
    whole = segment(rgb)
    part = segment(np.ascontiguousarray(rgb[70:, 50:]), (70, 50))
    # 60 px = 30 um from the artificial edge, clumps included
    inside = [n.take((n.anchor_yx >= (130, 110)).all(axis=1)) for n in (whole, part)]
    assert len(inside[0]) > 12
    for name, column in inside[0].columns().items():
        assert column.tobytes() == inside[1].columns()[name].tobytes(), name


def test_tiles_of_a_batch_are_independent() -> None:
    tiles = [RgbTile(painted(grid_of_nuclei(), seed=s), Box(0, 0, SIDE, SIDE)) for s in (1, 2)]
    segmenter = ClassicalSegmenter()
    together = segmenter.segment(tiles)
    for tile, nuclei in zip(tiles, together, strict=True):
        assert nuclei.mask_bits.tobytes() == segmenter.segment([tile])[0].mask_bits.tobytes()
    assert segmenter.segment([]) == []


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (17, 5)])
def test_small_tiles(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    assert len(segment(rng.integers(0, 255, (*shape, 3), dtype=np.uint8))) >= 0
    assert len(segment(np.full((*shape, 3), NUCLEUS, np.uint8))) <= 1


def test_sizes_are_micrometres() -> None:
    truth = grid_of_nuclei()
    fine = painted(np.kron(truth, np.ones((2, 2), np.int32)))
    assert len(segment(fine, mpp=0.25)) == truth.max()
    assert len(segment(painted(truth), min_area_um2=90.0)) == 0
    assert len(segment(painted(truth), max_area_um2=20.0)) == 0


def test_seeds_cut_where_ellipses_end() -> None:
    yy, xx = np.mgrid[:40, :60]
    hills = [np.maximum(0, 100 - (yy - 20) ** 2 - (xx - x) ** 2) for x in (20, 36)]
    relief = np.maximum(*hills).astype(np.uint16)
    seeds = ellipse_seeds(relief, relief > 0, ClassicalSettings())
    assert sorted({int(seeds[20, 20]), int(seeds[20, 36])}) == [1, 2]


def test_ink_has_no_haematoxylin() -> None:
    rgb = np.full((20, 20, 3), (30, 60, 200), np.uint8)
    assert not haematoxylin(rgb, ClassicalSettings()).any()
    assert (haematoxylin(np.full((20, 20, 3), NUCLEUS, np.uint8), ClassicalSettings()) > 300).all()


def test_the_fingerprint_depends_on_the_settings() -> None:
    settings = ClassicalSettings()
    one = ClassicalSegmenter(settings)
    assert one.fingerprint == pickle.loads(pickle.dumps(one)).fingerprint  # noqa: S301 (our own bytes)
    assert one.fingerprint != ClassicalSegmenter(replace(settings, min_od=0.13)).fingerprint
    assert (one.name, one.mpp) == ("classical", 0.5)


@pytest.mark.parametrize(
    "wrong", [{"mpp": 0.0}, {"mpp": float("nan")}, {"sigma_um": -1.0}, {"min_area_um2": 500.0}]
)
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ClassicalSettings(**wrong)
