"""Recognise from its colours how an image was made: stained, grey or fluorescence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from sac_wsi.datasets.sample import Rgb

ImageType = Literal["stained", "grey", "fluorescence"]

LEAST_CHROMA = 5.0
"""Mean of max - min over R, G, B. Measured: grey images of DSB 2018 have 0, the palest H&E of MoNuSeg 7.8."""
LEAST_BRIGHTNESS = 60.0
"""Median of the mean of R, G, B. Measured: fluorescence (DSB 2018) to 44, H&E of MoNuSeg from 82."""
LEAST_PINK = 10.0
"""Median of R less median of G: stains absorb green most. Measured: all fluorescence of DSB 2018 has 0, the
darkest H&E (spleen of NuInsSeg, median brightness 35) from 22."""


def image_type_of(rgb: Rgb) -> ImageType:
    """Return stained (coloured on bright), grey (bright without colour) or fluorescence (bright on dark).

    >>> image_type_of(np.full((8, 8, 3), (180, 120, 190), np.uint8))
    'stained'
    >>> image_type_of(np.full((8, 8, 3), (44, 22, 57), np.uint8))  # stained strongly
    'stained'
    >>> image_type_of(np.zeros((8, 8, 3), np.uint8))
    'fluorescence'
    """
    # the median is that of the background, which bright spots do not change
    dark = float(np.median(rgb.sum(axis=2, dtype=np.int32))) / 3 < LEAST_BRIGHTNESS
    if dark and float(np.median(rgb[..., 0])) - float(np.median(rgb[..., 1])) < LEAST_PINK:
        return "fluorescence"
    chroma = rgb.max(axis=2).astype(np.int16) - rgb.min(axis=2)
    return "stained" if float(chroma.mean()) >= LEAST_CHROMA else "grey"


def is_stained(rgb: Rgb) -> bool:
    """Return whether the image shows stained tissue. Coloured fluorescence is dark, so it does not count."""
    return image_type_of(rgb) == "stained"
