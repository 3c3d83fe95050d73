"""A crop of an image with its labels, changed as stain, scanner and knife change them.

One map of coordinates does turn, flip, scale and elastic bend at once, so that pixels are sampled once.
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
from sac_wsi.train import tiatoolbox_stain
from sac_wsi.train.strands import with_strands

Rgb = NDArray[np.uint8]
Pixels = NDArray[np.float32]
Labels = NDArray[np.int32]

# optical density of haematoxylin, eosin and the rest (Ruifrok and Johnston 2001), rows of unit length
_STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
_STAINS /= np.linalg.norm(_STAINS, axis=1, keepdims=True)
_MIX, _UNMIX = _STAINS.astype(np.float32), np.linalg.inv(_STAINS).astype(np.float32)
_LEAST_HUE = np.float32(1e-3)
"""A stain without any colour would have no direction."""
_KNOTS = 5
_LEAST_ZOOM = 0.8


@dataclass(frozen=True)
class AugmentSettings:
    """How far each goes; 0 leaves it out.

    scale       zoom from 1 / (1 + scale) to 1 + scale
    elastic_px  standard deviation of the bend
    density     of all stains together, from 1 / (1 + density) to 1 + density: some laboratories stain two and
                three times as strongly as others
    stain       of the factors on each stain's density; a third of it of its offset
    hue         standard deviation of the stains' own colours; this and density only where TIAToolbox does not
                change the crop's stains
    colour      of brightness and contrast
    blur_px     largest sigma
    jpeg        chance of JPEG at quality 40 to 95
    noise       standard deviation, grey values
    strands     chance that strands or a pen's stroke lie over the crop: what is dark and no nucleus

    With the extra ``tiatoolbox``, on crops of stained tissue, each at several times the cost of all the rest:

    normalise   chance that the crop is first brought to the stains of TIAToolbox's target image. Images are
                not normalised in use, so the model should see crops as they are too
    tiatoolbox  chance that ``stain`` changes the crop's own stains, which TIAToolbox finds, instead of stains
                that are the same for all
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

    def __post_init__(self) -> None:
        for name in ("scale", "elastic_px", "stain", "colour", "blur_px", "noise", "density", "hue"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"augment.{name} is {getattr(self, name)}: needed 0 or more.")
        for name in ("jpeg", "strands", "normalise", "tiatoolbox"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"augment.{name} is {getattr(self, name)}, a chance: needed 0 to 1.")
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
    """(side, side, 3) and (side, side); what lies beyond the image mirrors it.

    ``zoom`` is the crop's pixels per pixel of the image, before it is changed at random. ``offset_yx``: the
    image's labels lie so many of its pixels beside what they outline. In the crop they lie there too, however
    it is turned: else nobody could learn it, and every outline would be blurred by it.
    """
    if zoom < _LEAST_ZOOM:
        rgb, labels = _shrunk(rgb, labels, zoom), _shrunk(labels, labels, zoom)
        zoom, offset_yx = 1.0, (offset_yx[0] * zoom, offset_yx[1] * zoom)
    y, x, beside = _coordinates(labels.shape, side_px, settings, rng, zoom, offset_yx)
    crop, cut = _sample(np.ascontiguousarray(rgb), np.ascontiguousarray(labels), y, x, *beside)
    if settings.strands and rng.random() < settings.strands:
        crop, cut = with_strands(crop, cut, rng)
    return _look(crop, settings, rng), cut


def _shrunk(pixels: NDArray[Any], labels: Labels, zoom: float) -> Any:
    """The image, or its labels, at a lower resolution: a crop would look at a few of its pixels only."""
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
    """y and x in the image for each pixel of the crop, and how far from there its label is."""
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
    """(side, knots): knots in a row to a cubic curve through them."""
    along = ndimage.zoom(np.eye(_KNOTS), (side_px / _KNOTS, 1), order=3, grid_mode=True, mode="nearest")
    return np.asarray(along[:side_px], np.float32)


def _somewhere(length_px: int, side_px: float, rng: np.random.Generator) -> float:
    """The middle of a crop along one axis, within the image where it is large enough."""
    spare = max(0.0, length_px - side_px)
    # a whole pixel: a crop that nothing else moves is not resampled
    begin = min(np.floor(rng.uniform(0, spare + 1)), spare) if spare else np.floor((length_px - side_px) / 2)
    return float(begin + (side_px - 1) / 2)


@njit(cache=True, nogil=True)
def _sample(rgb, labels, y, x, beside_y, beside_x):  # type: ignore[no-untyped-def]
    """Pixels between four neighbours, labels of the nearest to what lies beside."""
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
    """An index into the image from one beyond it."""
    if 0 <= index < length:
        return index
    if length == 1:
        return 0
    index = abs(index) % (2 * length - 2)
    return index if index < length else 2 * length - 2 - index


def _look(pixels: Pixels, settings: AugmentSettings, rng: np.random.Generator) -> Rgb:
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
    """More or less of each stain, and of another colour: what laboratories differ in most."""
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
