from __future__ import annotations

import numpy as np
import pytest

from sac_wsi.geometry import Box
from sac_wsi.nuclei.masks import nuclei_from_labels
from sac_wsi.nuclei.stain import EOSIN_OD_RGB, HAEMATOXYLIN_OD_RGB, mean_stain, stain_density


def stained(haematoxylin_od: float, eosin_od: float) -> np.ndarray:
    vectors = [np.asarray(v) / np.linalg.norm(v) for v in (HAEMATOXYLIN_OD_RGB, EOSIN_OD_RGB)]
    od = haematoxylin_od * vectors[0] + eosin_od * vectors[1]
    return np.rint(255 * 10**-od).astype(np.uint8)


@pytest.fixture
def tissue() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (90, 70, 3), dtype=np.uint8)


@pytest.fixture
def labels() -> np.ndarray:
    labels = np.zeros((90, 70), np.int32)
    yy, xx = np.mgrid[:90, :70]
    for i, (y, x, r) in enumerate([(20, 20, 9), (60, 35, 14), (40, 61, 4)], start=1):
        labels[(yy - y) ** 2 + (xx - x) ** 2 <= r * r] = i
    return labels


def test_white_has_no_density() -> None:
    assert not stain_density(np.full((3, 4, 3), 255, np.uint8)).any()


@pytest.mark.parametrize(("haematoxylin", "eosin"), [(0.4, 0.0), (0.0, 0.4), (0.5, 0.3), (0.05, 0.02)])
def test_mixed_stains_are_separated(haematoxylin: float, eosin: float) -> None:
    density = stain_density(stained(haematoxylin, eosin)[None, None])
    np.testing.assert_allclose(density[0, 0], [haematoxylin, eosin], atol=0.006)


def test_black_is_finite() -> None:
    assert np.isfinite(stain_density(np.zeros((2, 2, 3), np.uint8))).all()


def test_wrong_arrays_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2, 4\)"):
        stain_density(np.zeros((2, 2, 4), np.uint8))


def test_means_are_those_of_the_density_image(tissue: np.ndarray, labels: np.ndarray) -> None:
    nuclei = nuclei_from_labels(labels, (0, 0))
    density = stain_density(tissue)
    expected = [density[labels == i].mean(axis=0, dtype=np.float64) for i in (1, 2, 3)]
    np.testing.assert_allclose(mean_stain(tissue, Box(0, 0, 90, 70), nuclei), expected, rtol=1e-5)


def test_means_have_the_same_bits_in_every_tile(tissue: np.ndarray, labels: np.ndarray) -> None:
    whole = mean_stain(tissue, Box(100, 200, 190, 270), nuclei_from_labels(labels, (100, 200)))
    cut = np.where(labels == 2, 1, 0).astype(np.int32)[40:80, 15:60]
    alone = mean_stain(
        np.ascontiguousarray(tissue[40:80, 15:60]),
        Box(140, 215, 180, 260),
        nuclei_from_labels(cut, (140, 215)),
    )
    assert alone.tobytes() == whole[1:2].tobytes()


def test_no_nuclei_have_no_means(tissue: np.ndarray) -> None:
    nuclei = nuclei_from_labels(np.zeros((90, 70), np.int32), (0, 0))
    assert mean_stain(tissue, Box(0, 0, 90, 70), nuclei).shape == (0, 2)


def test_masks_outside_the_tile_are_refused(tissue: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="outside its tile"):
        mean_stain(tissue, Box(0, 0, 90, 70), nuclei_from_labels(labels, (30, 0)))
    with pytest.raises(ValueError, match="does not fill"):
        mean_stain(tissue, Box(0, 0, 91, 70), nuclei_from_labels(labels, (0, 0)))
