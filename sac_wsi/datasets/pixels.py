"""Read image files as RGB and label files as int32. The error of a damaged file names the file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sac_wsi.datasets.label_files import SUFFIXES
from sac_wsi.datasets.label_files import read_labels as read_label_map
from sac_wsi.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sac_wsi.datasets.sample import Labels, Rgb

IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
LABEL_SUFFIXES = (*SUFFIXES, ".bmp")
MAX_PIXELS = 2**27
"""11,585 x 11,585. Larger images, such as slides, are refused before they are decoded."""

_EIGHT_BIT = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr", "CMYK")
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
"""What Pillow raises for a broken file."""


def read_rgb(source: Path | bytes, name: str = "") -> Rgb:
    """Return (h, w, 3); transparent pixels are shown on white. ``name`` names bytes in errors."""
    name = name or str(source)
    decoded = _decoded(source, name)
    if decoded.mode not in _EIGHT_BIT:
        raise DataError(f"{name} is an image of mode {decoded.mode}. Needed 8 bits per channel: convert it.")
    if decoded.has_transparency_data:
        opaque = decoded.convert("RGBA")
        white = Image.new("RGBA", opaque.size, (255, 255, 255, 255))
        decoded = Image.alpha_composite(white, opaque)
    return np.array(decoded.convert("RGB"))


def read_labels(source: Path | bytes, suffix: str = "", name: str = "") -> Labels:
    """Return (h, w) int32; ids above 65,535 need .tif or .npy. For bytes, ``suffix`` is the file type."""
    largest = np.iinfo(np.int32).max
    return np.array(read_label_map(source, suffix, name, max_id=largest), np.int32)


def read_mask(source: Path | bytes, name: str = "") -> NDArray[np.bool_]:
    """Return (h, w) True where a pixel is not black; transparency is ignored."""
    return np.array(_decoded(source, name or str(source)).convert("L")) > 0


def _decoded(source: Path | bytes, name: str) -> Image.Image:
    try:
        with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file:
            image = Image.open(file)
            if image.width * image.height > MAX_PIXELS:
                raise DataError(
                    f"{name} has {image.width} x {image.height} px. Needed at most {MAX_PIXELS:,} pixels: "
                    "cut it."
                )
            image.load()
    except FileNotFoundError:
        raise DataError(f"There is no {name}. Give the folder that holds it.") from None
    except _DAMAGED:
        raise DataError(f"{name} cannot be decoded, it may be truncated or damaged: copy it again.") from None
    return image
