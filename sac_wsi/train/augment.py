"""A crop of an image with its labels, changed as stain, scanner and knife change them.

One map of coordinates does turn, flip, scale and elastic bend at once, so that pixels are sampled once.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from sac_wsi.errors import ConfigError

Rgb = NDArray[np.uint8]
Labels = NDArray[np.int32]

# optical density of haematoxylin, eosin and the rest (Ruifrok and Johnston 2001), rows of unit length
_STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
_STAINS /= np.linalg.norm(_STAINS, axis=1, keepdims=True)
_UNMIX = np.linalg.inv(_STAINS)


@dataclass(frozen=True)
class AugmentSettings:
    """How far each goes; 0 leaves it out.

    scale       zoom from 1 / (1 + scale) to 1 + scale
    elastic_px  standard deviation of the bend
    stain       of the factors on each stain's density; a third of it of its offset
    colour      of brightness and contrast
    blur_px     largest sigma
    jpeg        chance of JPEG at quality 40 to 95
    noise       standard deviation, grey values
    """

    turn: bool = True
    scale: float = 0.3
    elastic_px: float = 2.0
    stain: float = 0.15
    colour: float = 0.1
    blur_px: float = 1.0
    jpeg: float = 0.2
    noise: float = 3.0

    def __post_init__(self) -> None:
        for name in ("scale", "elastic_px", "stain", "colour", "blur_px", "jpeg", "noise"):
            if getattr(self, name) < 0:
                raise ConfigError(f"augment.{name} is {getattr(self, name)}: needed 0 or more.")


NONE = AugmentSettings(False, 0, 0, 0, 0, 0, 0, 0)


def random_crop(
    rgb: Rgb, labels: Labels, side_px: int, settings: AugmentSettings, rng: np.random.Generator
) -> tuple[Rgb, Labels]:
    """(side, side, 3) and (side, side); what lies beyond the image mirrors it."""
    yx = _coordinates(rgb.shape[:2], side_px, settings, rng)
    crop = np.stack(
        [ndimage.map_coordinates(rgb[..., c], yx, order=1, mode="mirror") for c in range(3)], axis=2
    )
    cut = ndimage.map_coordinates(labels, yx, order=0, mode="mirror")
    return _look(crop, settings, rng), np.ascontiguousarray(cut, np.int32)


def _coordinates(
    shape_yx: tuple[int, ...], side_px: int, settings: AugmentSettings, rng: np.random.Generator
) -> NDArray[np.float32]:
    """(2, side, side) y, x in the image for each pixel of the crop."""
    zoom = np.exp(rng.uniform(-1, 1) * np.log1p(settings.scale))
    along = (np.arange(side_px, dtype=np.float32) - (side_px - 1) / 2) / zoom
    y, x = np.meshgrid(along, along, indexing="ij")
    if settings.turn:
        angle = rng.uniform(0, 2 * np.pi)
        if rng.random() < 0.5:
            x = -x
        y, x = np.cos(angle) * y - np.sin(angle) * x, np.sin(angle) * y + np.cos(angle) * x
    if settings.elastic_px:
        coarse = rng.normal(0, settings.elastic_px, (2, 5, 5))
        bend = ndimage.zoom(coarse, (1, side_px / 5, side_px / 5), order=3, grid_mode=True, mode="nearest")
        y, x = y + bend[0, :side_px, :side_px], x + bend[1, :side_px, :side_px]
    centre = [_somewhere(length, side_px, rng) for length in shape_yx]
    return np.stack([y + centre[0], x + centre[1]]).astype(np.float32)


def _somewhere(length_px: int, side_px: int, rng: np.random.Generator) -> float:
    """The middle of a crop along one axis, within the image where it is large enough."""
    margin = min(side_px / 2, length_px / 2)
    return rng.uniform(margin, length_px - margin) - 0.5


def _look(rgb: Rgb, settings: AugmentSettings, rng: np.random.Generator) -> Rgb:
    pixels: NDArray[np.floating] = rgb.astype(np.float32)
    if settings.stain:
        pixels = _restained(pixels, settings.stain, rng)
    if settings.colour:
        contrast, shift = 1 + rng.uniform(-1, 1) * settings.colour, rng.uniform(-1, 1, 3) * 128
        pixels = (pixels - 128) * contrast + 128 + shift * settings.colour
    if settings.blur_px and rng.random() < 0.3:
        sigma = rng.uniform(0, settings.blur_px)
        pixels = ndimage.gaussian_filter(pixels, (sigma, sigma, 0))
    if settings.noise:
        pixels = pixels + rng.normal(0, rng.uniform(0, settings.noise), pixels.shape)
    out: Rgb = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    if rng.random() < settings.jpeg:
        buffer = io.BytesIO()
        Image.fromarray(out).save(buffer, "JPEG", quality=int(rng.integers(40, 96)))
        out = np.asarray(Image.open(buffer))
    return out


def _restained(pixels: NDArray[np.floating], amount: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """More or less of each stain: what laboratories differ in most."""
    density = -np.log10((pixels + 1) / 256)
    stains = density.reshape(-1, 3) @ _UNMIX
    stains = stains * rng.uniform(1 - amount, 1 + amount, 3) + rng.uniform(-1, 1, 3) * amount / 3 * 0.2
    changed: NDArray[np.floating] = 256 * 10 ** -(stains @ _STAINS) - 1
    return changed.reshape(pixels.shape)
