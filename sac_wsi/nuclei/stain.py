"""Measure haematoxylin and eosin optical density by colour deconvolution (Ruifrok & Johnston 2001).

The vectors are QuPath's defaults, so that densities can be compared with QuPath's. The third vector is their
cross product, for colours that are neither stain (pen ink, dust, pigment).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sac_wsi.geometry import Box
    from sac_wsi.nuclei.columns import Nuclei

HAEMATOXYLIN_OD_RGB = (0.65111, 0.70119, 0.29049)
EOSIN_OD_RGB = (0.2159, 0.8012, 0.5581)
BACKGROUND = 255


def stain_density(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (h, w, 2) haematoxylin and eosin optical density of pixels (h, w, 3); it can be negative.

    >>> float(stain_density(np.full((1, 1, 3), 255, np.uint8)).max())
    0.0
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"stain density needs (h, w, 3) uint8, got {rgb.shape} {rgb.dtype}")
    density: NDArray[np.float32] = _density(rgb, _CHANNEL_TO_STAIN)
    return density


def mean_stain(rgb: NDArray[np.uint8], read: Box, nuclei: Nuclei) -> NDArray[np.float32]:
    """Return (N, 2) mean haematoxylin and eosin density in each mask; ``read`` is the box of ``rgb``.

    The sums are float64, in the order of the mask's pixels, so that a nucleus gets the same bits in every
    tile that holds it.
    """
    if rgb.shape[:2] != read.shape:
        raise ValueError(f"rgb of {rgb.shape[:2]} does not fill its box {read}")
    box = nuclei.box.astype(np.int64) - np.array([read.y0, read.x0, read.y0, read.x0])
    if len(box) and (box.min() < 0 or (box[:, 2:] > read.shape).any()):
        raise ValueError(f"a mask reaches outside its tile {read}")
    means: NDArray[np.float32] = _means(rgb, box, nuclei.mask_start, nuclei.mask_bits, _OD, _UNMIX)
    return means


def _optical_density() -> NDArray[np.float64]:
    # a channel of 0 counts as 1: black is dark, not infinitely dark
    return np.asarray(-np.log10(np.maximum(np.arange(256), 1) / BACKGROUND), np.float64)


def _unmix() -> NDArray[np.float64]:
    """Return (3, 2): RGB densities times this matrix are haematoxylin and eosin."""
    haematoxylin, eosin = (np.asarray(v) / np.linalg.norm(v) for v in (HAEMATOXYLIN_OD_RGB, EOSIN_OD_RGB))
    residual = np.cross(haematoxylin, eosin)
    stains = np.stack([haematoxylin, eosin, residual / np.linalg.norm(residual)])
    return np.ascontiguousarray(np.linalg.inv(stains)[:, :2])


_OD = _optical_density()
_UNMIX = _unmix()
_CHANNEL_TO_STAIN = (_UNMIX[:, None, :] * _OD[None, :, None]).astype(np.float32)  # (channel, value, stain)


@njit(cache=True, nogil=True)
def _density(rgb: NDArray[np.uint8], table: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width, _ = rgb.shape
    out = np.empty((height, width, 2), np.float32)
    for y in range(height):
        for x in range(width):
            r, g, b = rgb[y, x, 0], rgb[y, x, 1], rgb[y, x, 2]
            out[y, x, 0] = table[0, r, 0] + table[1, g, 0] + table[2, b, 0]
            out[y, x, 1] = table[0, r, 1] + table[1, g, 1] + table[2, b, 1]
    return out


@njit(cache=True, nogil=True)
def _means(
    rgb: NDArray[np.uint8],
    box: NDArray[np.int64],
    mask_start: NDArray[np.int64],
    mask_bits: NDArray[np.uint8],
    od: NDArray[np.float64],
    unmix: NDArray[np.float64],
) -> NDArray[np.float32]:
    out = np.zeros((len(box), 2), np.float32)
    for i in range(len(box)):
        y0, x0, y1, x1 = box[i]
        red = green = blue = 0.0
        pixels = 0
        bit = 8 * mask_start[i]
        for y in range(y0, y1):
            for x in range(x0, x1):
                if mask_bits[bit >> 3] & (128 >> (bit & 7)):
                    red += od[rgb[y, x, 0]]
                    green += od[rgb[y, x, 1]]
                    blue += od[rgb[y, x, 2]]
                    pixels += 1
                bit += 1
        if pixels:
            for stain in range(2):
                total = red * unmix[0, stain] + green * unmix[1, stain] + blue * unmix[2, stain]
                out[i, stain] = total / pixels
    return out
