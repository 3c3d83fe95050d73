"""Cut random crops from an image and its labels, and change them as stains, scanners and cutting do.

Rotation, flip, scale and elastic deformation share one map of coordinates, so each pixel is sampled once.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from sac_wsi.errors import ConfigError
from sac_wsi.settings.checks import check_range
from sac_wsi.train import tiatoolbox_stain
from sac_wsi.train.artefacts import with_artefact
from sac_wsi.train.strands import with_strands

Rgb = NDArray[np.uint8]
Pixels = NDArray[np.float32]
Labels = NDArray[np.int32]

# optical density of haematoxylin, eosin and the rest (Ruifrok and Johnston 2001), rows of unit length
_STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
_STAINS /= np.linalg.norm(_STAINS, axis=1, keepdims=True)
_MIX, _UNMIX = _STAINS.astype(np.float32), np.linalg.inv(_STAINS).astype(np.float32)
_LEAST_HUE = np.float32(1e-3)
"""Smallest part of each channel: a stain without colour would have no direction."""
_KNOTS = 5
_LEAST_ZOOM = 0.8


@dataclass(frozen=True)
class AugmentSettings:
    """The strength of each augmentation; 0 switches it off.

    ``normalise`` and ``tiatoolbox`` need the extra ``tiatoolbox`` and change only crops of stained tissue;
    each takes several times as long as all other augmentations together.

    Attributes:
        turn: Rotate and flip at random.
        scale: Zoom by a factor from 1 / (1 + scale) to 1 + scale.
        elastic_px: Standard deviation of the elastic deformation.
        stain: Multiply each stain's density by a factor from 1 - stain to 1 + stain, and shift it slightly.
        colour: Largest change of brightness and contrast.
        blur_px: Largest sigma of the blur.
        jpeg: Probability of JPEG compression, quality 40 to 95.
        noise: Largest standard deviation of the noise, in grey values.
        normalise: Probability that the crop first gets the stains of TIAToolbox's target image. Images are
            not normalised at inference, so the model should also see crops that are not.
        tiatoolbox: Probability that ``stain`` changes the stains that TIAToolbox finds in the crop, instead
            of fixed stains.
        density: Multiply all stains by one factor from 1 / (1 + density) to 1 + density: some laboratories
            stain two to three times as strongly as others.
        hue: Standard deviation of the stains' colours; like ``density``, without effect where TIAToolbox
            changes the stains.
        strands: Probability of fibres or a pen stroke over the crop: dark things that are not nuclei.
        artefacts: Probability of a fold, glass, lost focus, specks or red blood cells in a part of the crop.
    """

    turn: bool = True
    scale: float = 0.3
    elastic_px: float = 2.0
    stain: float = 0.15
    colour: float = 0.1
    blur_px: float = 1.0
    jpeg: float = 0.2
    noise: float = 3.0
    normalise: float = 0.0
    tiatoolbox: float = 0.0
    density: float = 0.0
    hue: float = 0.0
    strands: float = 0.0
    artefacts: float = 0.0

    def __post_init__(self) -> None:
        for name in ("scale", "elastic_px", "stain", "colour", "blur_px", "noise", "density", "hue"):
            check_range(f"augment.{name}", getattr(self, name), at_least=0)
        for name in ("jpeg", "strands", "artefacts", "normalise", "tiatoolbox"):
            check_range(f"augment.{name}", getattr(self, name), at_least=0, at_most=1)
        if self.tiatoolbox and not self.stain:
            raise ConfigError(
                f"augment.tiatoolbox is {self.tiatoolbox} and augment.stain 0, which changes nothing: needed "
                "augment.stain above 0."
            )
        if self.normalise or self.tiatoolbox:
            tiatoolbox_stain.require()


NONE = AugmentSettings(False, 0, 0, 0, 0, 0, 0, 0)


def random_crop(
    rgb: Rgb,
    labels: Labels,
    side_px: int,
    settings: AugmentSettings,
    rng: np.random.Generator,
    zoom: float = 1.0,
    offset_yx: tuple[float, float] = (0.0, 0.0),
) -> tuple[Rgb, Labels]:
    """Return a random crop (side, side, 3) and its labels (side, side); the image is mirrored at its edges.

    Args:
        rgb: The image (h, w, 3).
        labels: Its labels (h, w).
        side_px: Side of the crop.
        settings: How the crop is changed.
        rng: Source of all random numbers.
        zoom: Pixels of the crop per pixel of the image, before the random zoom.
        offset_yx: Offset of the labels from the nuclei, in pixels of the image. The labels of the crop keep
            this offset however the crop is rotated; an offset that rotates could not be learned and would
            blur the outlines.
    """
    if zoom < _LEAST_ZOOM:
        rgb, labels = _shrunk(rgb, labels, zoom), _shrunk(labels, labels, zoom)
        zoom, offset_yx = 1.0, (offset_yx[0] * zoom, offset_yx[1] * zoom)
    y, x, label_yx = _coordinates(labels.shape, side_px, settings, rng, zoom, offset_yx)
    crop, cut = _sample(np.ascontiguousarray(rgb), np.ascontiguousarray(labels), y, x, *label_yx)
    if settings.strands and rng.random() < settings.strands:
        crop, cut = with_strands(crop, cut, rng)
    if settings.artefacts and rng.random() < settings.artefacts:
        crop, cut = with_artefact(crop, cut, rng)
    return _change_look(crop, settings, rng), cut


def _shrunk(pixels: NDArray[Any], labels: Labels, zoom: float) -> Any:
    """Return the image or its labels at a lower resolution; sampling a crop directly would skip pixels."""
    size = tuple(max(1, round(length * zoom)) for length in labels.shape[::-1])
    how = Image.Resampling.NEAREST if pixels is labels else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(pixels).resize(size, how))


def _coordinates(
    shape_yx: tuple[int, ...],
    side_px: int,
    settings: AugmentSettings,
    rng: np.random.Generator,
    zoom: float,
    offset_yx: tuple[float, float],
) -> tuple[Pixels, Pixels, tuple[np.float32, np.float32]]:
    """Return y and x in the image for each pixel of the crop, and the offset (y, x) to its label."""
    zoom = zoom * float(np.exp(rng.uniform(-1, 1) * np.log1p(settings.scale)))
    along = (np.arange(side_px, dtype=np.float32) - (side_px - 1) / 2) / np.float32(zoom)
    y, x = np.meshgrid(along, along, indexing="ij")
    off_y, off_x = (np.float32(off) for off in offset_yx)
    turned_y, turned_x = off_y, off_x
    if settings.turn:
        angle, mirrored = np.float32(rng.uniform(0, 2 * np.pi)), rng.random() < 0.5
        y, x = _turned(y, x, angle, mirrored)
        turned_y, turned_x = _turned(off_y, off_x, angle, mirrored)
    if settings.elastic_px:
        knots = rng.standard_normal((2, _KNOTS, _KNOTS), np.float32) * np.float32(settings.elastic_px)
        smooth = _spline(side_px)
        y, x = y + smooth @ knots[0] @ smooth.T, x + smooth @ knots[1] @ smooth.T
    centre_y, centre_x = (_somewhere(length, side_px / zoom, rng) for length in shape_yx)
    y, x = (y + np.float32(centre_y)).astype(np.float32), (x + np.float32(centre_x)).astype(np.float32)
    return y, x, (off_y - turned_y, off_x - turned_x)


def _turned(y: Any, x: Any, angle: np.float32, mirrored: bool) -> tuple[Any, Any]:
    x = -x if mirrored else x
    return np.cos(angle) * y - np.sin(angle) * x, np.sin(angle) * y + np.cos(angle) * x


@lru_cache(maxsize=8)
def _spline(side_px: int) -> Pixels:
    """Return the matrix (side, knots) from the values at the knots to a cubic curve through them."""
    along = ndimage.zoom(np.eye(_KNOTS), (side_px / _KNOTS, 1), order=3, grid_mode=True, mode="nearest")
    return np.asarray(along[:side_px], np.float32)


def _somewhere(length_px: int, side_px: float, rng: np.random.Generator) -> float:
    """Return a random centre of a crop along one axis; the crop stays in the image if it fits."""
    spare = max(0.0, length_px - side_px)
    # a whole pixel, so that a crop without other changes is not resampled
    begin = min(np.floor(rng.uniform(0, spare + 1)), spare) if spare else np.floor((length_px - side_px) / 2)
    return float(begin + (side_px - 1) / 2)


@njit(cache=True, nogil=True)
def _sample(rgb, labels, y, x, beside_y, beside_x):  # type: ignore[no-untyped-def]
    """Interpolate the pixels bilinearly; take the nearest label at the offset position."""
    height, width = labels.shape
    crop = np.empty((*y.shape, 3), np.float32)
    cut = np.empty(y.shape, np.int32)
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            top, left = int(np.floor(y[i, j])), int(np.floor(x[i, j]))
            down, right = y[i, j] - top, x[i, j] - left
            y0, y1 = _mirrored(top, height), _mirrored(top + 1, height)
            x0, x1 = _mirrored(left, width), _mirrored(left + 1, width)
            for c in range(3):
                above = rgb[y0, x0, c] * (1 - right) + rgb[y0, x1, c] * right
                below = rgb[y1, x0, c] * (1 - right) + rgb[y1, x1, c] * right
                crop[i, j, c] = above * (1 - down) + below * down
            label_y, label_x = np.floor(y[i, j] + beside_y + 0.5), np.floor(x[i, j] + beside_x + 0.5)
            cut[i, j] = labels[_mirrored(int(label_y), height), _mirrored(int(label_x), width)]
    return crop, cut


@njit(cache=True, nogil=True)
def _mirrored(index: int, length: int) -> Any:
    """Return the index of the pixel that an index beyond the image mirrors."""
    if 0 <= index < length:
        return index
    if length == 1:
        return 0
    index = abs(index) % (2 * length - 2)
    return index if index < length else 2 * length - 2 - index


def _change_look(pixels: Pixels, settings: AugmentSettings, rng: np.random.Generator) -> Rgb:
    pixels = _stained(pixels, settings, rng)
    if settings.colour:
        contrast = np.float32(1 + rng.uniform(-1, 1) * settings.colour)
        shift = np.asarray(rng.uniform(-1, 1, 3) * 128 * settings.colour, np.float32)
        pixels = (pixels - 128) * contrast + 128 + shift
    if settings.blur_px and rng.random() < 0.3:
        sigma = rng.uniform(0, settings.blur_px)
        pixels = ndimage.gaussian_filter(pixels, (sigma, sigma, 0))
    if settings.noise:
        amount = np.float32(rng.uniform(0, settings.noise))
        pixels = pixels + amount * rng.standard_normal(pixels.shape, np.float32)
    out = _whole(pixels)
    if rng.random() < settings.jpeg:
        buffer = io.BytesIO()
        Image.fromarray(out).save(buffer, "JPEG", quality=int(rng.integers(40, 96)))
        out = np.array(Image.open(buffer))
    return out


def _whole(pixels: Pixels) -> Rgb:
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _stained(pixels: Pixels, settings: AugmentSettings, rng: np.random.Generator) -> Pixels:
    if settings.normalise and rng.random() < settings.normalise:
        pixels = tiatoolbox_stain.normalised(_whole(pixels)).astype(np.float32)
    if settings.tiatoolbox and rng.random() < settings.tiatoolbox:
        return tiatoolbox_stain.restained(_whole(pixels), settings.stain, rng).astype(np.float32)
    return _restained(pixels, settings, rng) if settings.stain or settings.density or settings.hue else pixels


def _restained(pixels: Pixels, settings: AugmentSettings, rng: np.random.Generator) -> Pixels:
    """Change the density and colour of each stain, in which laboratories differ most."""
    amount = settings.stain
    factor = rng.uniform(1 - amount, 1 + amount, 3)
    offset = np.asarray(rng.uniform(-1, 1, 3) * amount / 3 * 0.46, np.float32)
    if settings.density:
        factor = factor * np.exp(rng.uniform(-1, 1) * np.log1p(settings.density))
    mix = _MIX
    if settings.hue:
        mix = np.maximum(_LEAST_HUE, mix + rng.standard_normal((3, 3), np.float32) * np.float32(settings.hue))
        mix = mix / np.linalg.norm(mix, axis=1, keepdims=True)
    density = -np.log((pixels + 1) / 256)
    stains = density @ _UNMIX * np.asarray(factor, np.float32) + offset
    return np.asarray(256 * np.exp(-(stains @ mix)) - 1, np.float32)
