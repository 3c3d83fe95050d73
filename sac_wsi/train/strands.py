"""Paint things that are not nuclei over a crop: dark fibres, folds, keratin, or a pen mark of any colour.

Labelled training images show selected fields; whole slides also show such things.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from sac_wsi.train.hidden_labels import cut_hidden, keep_whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_STRANDS = 8
_STEPS = 24
_HIDES = 0.5


def with_strands(
    pixels: NDArray[np.float32], labels: NDArray[np.int32], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return the crop with some strands or one pen stroke, and the labels of the nuclei still visible."""
    pixels = pixels.copy()
    hidden = np.zeros(labels.shape, bool)
    pen = rng.random() < 0.3
    colour = rng.uniform(0, 255, 3) if pen else _tissue_colour(pixels, rng)
    for _ in range(1 if pen else int(rng.integers(1, _MOST_STRANDS + 1))):
        width_px = rng.uniform(20, 90) if pen else rng.uniform(2, 14)
        cover = _stroke(labels.shape, width_px, rng) * np.float32(rng.uniform(0.5, 1.0))
        shade = np.asarray(colour * rng.uniform(0.8, 1.2), np.float32)
        pixels += cover[..., None] * (np.minimum(shade, 255) - pixels)
        hidden |= cover > _HIDES
    return pixels, cut_hidden(labels, hidden) if pen else keep_whole(labels, hidden)


def _tissue_colour(pixels: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a dark colour of the crop, so that colour alone does not separate strands from nuclei."""
    brightness = pixels.mean(axis=2)
    dark = pixels[brightness <= np.quantile(brightness, 0.3)]
    chosen: NDArray[np.float64] = dark[rng.integers(len(dark))].astype(float)
    return chosen


def _stroke(shape_yx: tuple[int, ...], width_px: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the opacity (h, w), 0 to 1, of a curved line across the crop with soft edges."""
    height, width = shape_yx
    scale = np.array([width, height])
    begin, bend, end = rng.uniform(-0.3, 1.3, (3, 2)) * scale
    t = np.linspace(0, 1, _STEPS)[:, None]
    curve = (1 - t) ** 2 * begin + 2 * t * (1 - t) * bend + t**2 * end
    image = Image.new("L", (width, height))
    line = [(float(x), float(y)) for x, y in curve]
    ImageDraw.Draw(image).line(line, fill=255, width=max(1, round(width_px)), joint="curve")
    soft = ndimage.gaussian_filter(np.asarray(image, np.float32) / 255, 0.7)
    return np.asarray(soft, np.float32)
