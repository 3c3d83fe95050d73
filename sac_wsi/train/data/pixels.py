"""Files of pixels: an image as RGB, a label map as int32. Damage is an error that names the file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sac_wsi.errors import DataError
from sac_wsi.train.data.sample import Labels, Rgb

IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".npy", ".bmp")
MAX_PIXELS = 2**27
"""A training image is no slide: 11,585 x 11,585 are refused before they are decoded."""

_EIGHT_BIT = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr", "CMYK")
_LABEL_MODES = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B")
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
"""What Pillow raises for a broken file."""


def read_rgb(source: Path | bytes, name: str = "") -> Rgb:
    """(h, w, 3); what is transparent is seen on white. ``name`` is what an error calls bytes."""
    name = name or str(source)
    image = _opened(source, name)
    if image.mode not in _EIGHT_BIT:
        raise DataError(f"{name} is an image of mode {image.mode}. Needed 8 bits per channel: convert it.")
    decoded = _decoded(image, name)
    if decoded.has_transparency_data:
        opaque = decoded.convert("RGBA")
        white = Image.new("RGBA", opaque.size, (255, 255, 255, 255))
        decoded = Image.alpha_composite(white, opaque)
    return np.array(decoded.convert("RGB"))


def read_labels(source: Path | bytes, suffix: str, name: str = "") -> Labels:
    """(h, w) int32 from .png, .bmp, .tif or .npy; ids above 65,535 need one of the last two."""
    name = name or str(source)
    if suffix == ".npy":
        return as_labels(_from_npy(source, name), name)
    if suffix in (".tif", ".tiff"):
        return as_labels(_from_tiff(source, name), name)
    image = _opened(source, name)
    if image.mode not in _LABEL_MODES:
        raise DataError(
            f"{name} is an image of mode {image.mode}. Needed one number per pixel: a grey .png of 8 or 16 "
            "bits, a .tif or an .npy."
        )
    return as_labels(np.array(_decoded(image, name)), name)


def read_mask(source: Path | bytes, name: str = "") -> NDArray[np.bool_]:
    """(h, w): where anything is drawn; colours and transparency do not count."""
    image = _opened(source, name or str(source))
    return np.array(_decoded(image, name or str(source)).convert("L")) > 0


def as_labels(array: NDArray[Any], name: str) -> Labels:
    """The array as labels, if that is what it is.

    >>> as_labels(np.zeros((2, 2)), "a.npy")
    Traceback (most recent call last):
    sac_wsi.errors.DataError: a.npy holds float64 of shape (2, 2). Needed whole numbers (h, w).
    """
    if array.ndim != 2 or array.dtype.kind not in "bui":
        raise DataError(f"{name} holds {array.dtype} of shape {array.shape}. Needed whole numbers (h, w).")
    if array.size == 0:
        raise DataError(f"{name} has shape {array.shape}. Needed at least one pixel.")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > np.iinfo(np.int32).max:
        raise DataError(f"{name} has ids from {low} to {high}. Needed 0 to {np.iinfo(np.int32).max}.")
    return array.astype(np.int32)


def _opened(source: Path | bytes, name: str) -> Image.Image:
    try:
        image = Image.open(source if isinstance(source, Path) else io.BytesIO(source))
    except FileNotFoundError:
        raise DataError(f"There is no {name}. Give the folder that holds it.") from None
    except _DAMAGED:
        raise _damaged(name) from None
    if image.width * image.height > MAX_PIXELS:
        raise DataError(
            f"{name} has {image.width} x {image.height} px. Needed at most {MAX_PIXELS:,} pixels: cut it."
        )
    return image


def _decoded(image: Image.Image, name: str) -> Image.Image:
    try:
        image.load()
    except _DAMAGED:
        raise _damaged(name) from None
    return image


def _from_npy(source: Path | bytes, name: str) -> NDArray[Any]:
    data = _bytes(source, name)
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        raise DataError(f"{name} is damaged, or no array of numbers: write it again with np.save.") from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"{name} is an archive of arrays. Needed one array: write it with np.save.")
    return array


def _from_tiff(source: Path | bytes, name: str) -> NDArray[Any]:
    try:
        import tifffile
    except ImportError:
        raise DataError(
            f"{name} needs tifffile, which is not installed: `pip install tifffile`, or save labels as .npy."
        ) from None
    data = _bytes(source, name)
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            page = tiff.pages[0]
            if int(np.prod(page.shape)) > MAX_PIXELS:
                raise DataError(f"{name} has shape {page.shape}. Needed at most {MAX_PIXELS:,} pixels.")
            return np.asarray(page.asarray())
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a broken file makes tifffile raise
        raise DataError(f"{name} cannot be decoded ({type(error).__name__}): copy it again.") from None


def _bytes(source: Path | bytes, name: str) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return source.read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read {name}: {error.strerror}.") from None


def _damaged(name: str) -> DataError:
    return DataError(f"{name} cannot be decoded, it may be truncated or damaged: copy it again.")
