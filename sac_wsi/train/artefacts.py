"""Change a part of a crop as preparation and scanning do: a fold, glass, lost focus, specks, red cells.

Labelled training images show selected fields; whole slides also show such things. Labels of nuclei that can
no longer be recognised are removed, so that the network learns to leave such places out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from sac_wsi.train.hidden_labels import cut_hidden

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Pixels = NDArray[np.float32]
    Labels = NDArray[np.int32]
    Artefact = Callable[[Pixels, Labels, np.random.Generator], tuple[Pixels, Labels]]

_HIDES = 0.5


def with_artefact(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
    """Return the crop (side, side, 3) with one artefact, and the labels that still hold."""
    return ARTEFACTS[list(ARTEFACTS)[rng.integers(len(ARTEFACTS))]](pixels, labels, rng)


def _fold(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
    """Lay a second layer of the same tissue over a band."""
    band = _band(labels.shape, rng.uniform(15, 90), rng)
    shift = rng.integers(-60, 61, 2)
    second = np.roll(pixels, tuple(shift), axis=(0, 1))
    density = _density(pixels) + band[..., None] * _density(second)
    return _transmitted(density), cut_hidden(labels, band > _HIDES)


def _glass(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
    """Let the tissue end, or tear a gap into it."""
    shape = labels.shape
    gap = _blob(shape, rng.uniform(0.3, 0.7), rng) if rng.random() < 0.5 else _half(shape, rng)
    colour = np.asarray(rng.uniform(225, 250) + rng.uniform(-6, 6, 3), np.float32)
    return pixels + gap[..., None] * (colour - pixels), cut_hidden(labels, gap > _HIDES)


def _lost_focus(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
    """Blur a part; where little can be recognised, the labels are removed."""
    sigma = rng.uniform(1, 6)
    where = _half(labels.shape, rng, soft_px=20)
    blurred = ndimage.gaussian_filter(pixels, (sigma, sigma, 0))
    changed = pixels + where[..., None] * (blurred - pixels)
    return changed, cut_hidden(labels, where > _HIDES) if sigma > 4 else labels


def _specks(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
    """Strew dust, ink or pigment: dark grains without the structure of a nucleus, single or in clusters."""
    shape = labels.shape
    colour = np.asarray(rng.uniform((10, 5, 0), (110, 80, 70)), np.float32)
    cover = np.zeros(shape, np.float32)
    middle = rng.uniform(0, shape[0], 2)
    spread = rng.uniform(10, shape[0] / 2)
    for _ in range(int(rng.integers(3, 60))):
        place = rng.normal(middle, spread)
        radius = rng.uniform(1, 7)
        cover = np.maximum(cover, _disc(shape, place, radius, rng.uniform(0.6, 1.4)))
    return pixels + cover[..., None] * (colour - pixels), cut_hidden(labels, cover > _HIDES)


def _red_cells(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
    """Put red blood cells on the background: round, as large as a small nucleus, red, often touching."""
    shape = labels.shape
    colour = np.asarray(rng.uniform((190, 40, 50), (240, 110, 120)), np.float32)
    free = 1 - ndimage.gaussian_filter((labels > 0).astype(np.float32), 1)
    radius = rng.uniform(8, 14)
    middle, spread = rng.uniform(0, shape[0], 2), rng.uniform(20, shape[0] / 3)
    cover = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(3, 40))):
        cell = _disc(shape, rng.normal(middle, spread), radius * rng.uniform(0.9, 1.1), rng.uniform(0.8, 1.2))
        cover = np.maximum(cover, cell * np.float32(rng.uniform(0.6, 0.95)))
    return pixels + (cover * free)[..., None] * (colour - pixels), labels


ARTEFACTS: dict[str, Artefact] = {
    "fold": _fold,
    "glass": _glass,
    "lost focus": _lost_focus,
    "specks": _specks,
    "red cells": _red_cells,
}


def _density(pixels: Pixels) -> Pixels:
    return _float32(-np.log((np.clip(pixels, 0, 255) + 1) / 256))


def _transmitted(density: Pixels) -> Pixels:
    return _float32(256 * np.exp(-density) - 1)


def _distance_to_line(shape_yx: tuple[int, ...], rng: np.random.Generator) -> Pixels:
    """Return the signed distance (h, w) in pixels to a random, slightly curved line."""
    height, width = shape_yx
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    along = (x - rng.uniform(0, width)) * np.cos(angle) + (y - rng.uniform(0, height)) * np.sin(angle)
    across = (y - rng.uniform(0.2, 0.8) * height) * np.cos(angle) - (
        x - rng.uniform(0.2, 0.8) * width
    ) * np.sin(angle)
    bend = rng.uniform(0, 12) * np.sin(along / rng.uniform(20, 60))
    return _float32(across + bend)


def _band(shape_yx: tuple[int, ...], width_px: float, rng: np.random.Generator) -> Pixels:
    return _float32(np.clip((width_px / 2 - np.abs(_distance_to_line(shape_yx, rng))) / 2, 0, 1))


def _half(shape_yx: tuple[int, ...], rng: np.random.Generator, soft_px: float = 3.0) -> Pixels:
    return _float32(np.clip(_distance_to_line(shape_yx, rng) / soft_px + 0.5, 0, 1))


def _blob(shape_yx: tuple[int, ...], share: float, rng: np.random.Generator) -> Pixels:
    """Return an irregular region (h, w), 0 to 1, that covers less than ``share`` of the crop."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape_yx, np.float32), 25, mode="wrap")
    level = np.quantile(noise, 1 - share / 2)
    return _float32(np.clip((noise - level) / (noise.std() * 0.2) + 0.5, 0, 1))


def _disc(
    shape_yx: tuple[int, ...], place_yx: NDArray[np.float64], radius_px: float, aspect: float
) -> Pixels:
    """Return a disc (h, w), 0 to 1, with soft edges; 0 everywhere if it lies beyond the crop."""
    height, width = shape_yx
    y, x = np.ogrid[:height, :width]
    far = np.hypot((y - place_yx[0]) * aspect, x - place_yx[1])
    return _float32(np.clip(radius_px - far + 0.5, 0, 1))


def _float32(values: Any) -> Pixels:
    return np.asarray(values, np.float32)
