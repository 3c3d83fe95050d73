"""Label maps from files: one whole number per pixel, in .tif, .tiff, .png or .npy.

The numbers are taken as they are stored. Of a PNG or TIFF with a palette that is the index, not the colour:
palettes only show label maps, as those of GlaS and Pascal VOC do.
"""

from __future__ import annotations

import struct
import tokenize
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tifffile
from PIL import ImageFile, PngImagePlugin, TiffImagePlugin

from sac_wsi.errors import RequestError
from sac_wsi.metrics import LabelMap

SUFFIXES = (".tif", ".tiff", ".png", ".npy")
MAX_PIXELS = 2**28
"""16,384 x 16,384, of an image that must be decoded whole. A .npy is mapped and may have any size."""
_NEEDED = "needed a label image with one whole number per pixel, 0 for background"
_LABEL_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N")
_DAMAGED = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    ArithmeticError,
    TypeError,
    RuntimeError,
    struct.error,
    zlib.error,
    tokenize.TokenError,
    tifffile.TiffFileError,
)
"""What Pillow, tifffile and NumPy raise for a broken file."""


def label_files(folder: Path) -> dict[str, Path]:
    """The label images in a folder by stem, sorted; hidden files and other kinds are passed over."""
    if not folder.is_dir():
        raise RequestError(f"{folder} is no folder: needed one with label images ({', '.join(SUFFIXES)}).")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        if path.stem in found:
            raise RequestError(
                f"{folder} has both {found[path.stem].name} and {path.name}; needed one label image "
                "per stem: move one of them away."
            )
        found[path.stem] = path
    return found


def read_labels(path: Path) -> LabelMap:
    """The label map of a file, in the file's own integer type."""
    try:
        labels = _READERS[path.suffix.lower()](path)
    except _DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RequestError(f"{path} cannot be read as a label image ({reason}): write it again.") from error
    if labels.dtype.kind not in "biu":
        raise RequestError(f"{path} has {labels.dtype} pixels, {_NEEDED}.")
    if labels.ndim != 2:
        raise RequestError(f"{path} has shape {_shown(labels.shape)}, {_NEEDED}: height x width.")
    if labels.dtype.kind == "i" and labels.size and (lowest := labels.min()) < 0:
        raise RequestError(f"{path} has the label {lowest}, {_NEEDED} and 1 or more for nuclei.")
    if labels.dtype == np.uint64 and labels.size and (highest := labels.max()) >= 2**63:
        raise RequestError(f"{path} has the label {highest}; needed labels below 2**63.")
    return labels


def _read_npy(path: Path) -> LabelMap:
    # maps, and knows no pickles at all: np.load would also open archives
    labels: LabelMap = np.lib.format.open_memmap(path, mode="r")
    return labels


def _read_png(path: Path) -> LabelMap:
    with path.open("rb") as file:
        return _decode(path, PngImagePlugin.PngImageFile(file))


def _read_tiff(path: Path) -> LabelMap:
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        _refuse_large(path, series.shape)
        try:
            labels: LabelMap = series.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
        else:
            return labels
    # a compression that tifffile knows with imagecodecs only, such as LZW
    with path.open("rb") as handle:
        return _decode(path, TiffImagePlugin.TiffImageFile(handle))


def _decode(path: Path, image: ImageFile.ImageFile) -> LabelMap:
    """Without ``Image.open``: its limit on pixels is global, ours is per call."""
    if image.mode not in _LABEL_MODES:
        raise RequestError(f"{path} has {image.mode} pixels, {_NEEDED}.")
    _refuse_large(path, image.size[::-1])
    return np.asarray(image)


def _refuse_large(path: Path, shape: Iterable[int]) -> None:
    if np.prod(list(shape), dtype=float) > MAX_PIXELS:
        raise RequestError(
            f"{path} has {_shown(shape)} pixels; a label image may have {MAX_PIXELS}. Cut it into parts."
        )


def _shown(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))


_READERS = {".npy": _read_npy, ".png": _read_png, ".tif": _read_tiff, ".tiff": _read_tiff}
