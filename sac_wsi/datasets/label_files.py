"""Read label maps from files: one whole number per pixel, in .tif, .tiff, .png, .bmp or .npy.

The stored numbers are used. For an image with a palette that is the index, not the colour: the palettes of
GlaS and Pascal VOC only serve to show the labels.
"""

from __future__ import annotations

import io
import struct
import tokenize
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, ImageFile, PngImagePlugin, TiffImagePlugin

from sac_wsi.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

LabelMap = NDArray[np.integer[Any]] | NDArray[np.bool_]
SUFFIXES = (".tif", ".tiff", ".png", ".npy")
MAX_PIXELS = 2**28
"""16,384 x 16,384, for an image that must be decoded as a whole. A .npy is mapped and can have any size."""
_NEEDED = "needed a label image with one whole number per pixel, 0 for background"
_LABEL_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N")
_PILLOW = {".png": PngImagePlugin.PngImageFile, ".bmp": BmpImagePlugin.BmpImageFile}
_DAMAGED = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    ArithmeticError,
    MemoryError,
    TypeError,
    RuntimeError,
    struct.error,
    zlib.error,
    tokenize.TokenError,
)
"""What Pillow, tifffile and NumPy raise for a broken file."""


def label_files(folder: Path) -> dict[str, Path]:
    """Return the label images of a folder by stem."""
    return by_stem(folder, SUFFIXES)


def by_stem(folder: Path, suffixes: Iterable[str], ending: str = "") -> dict[str, Path]:
    """Return the files by stem (without ``ending``), sorted. Hidden files and other suffixes are skipped."""
    wanted = tuple(suffixes)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: give one with files of the kind {', '.join(wanted)}.")
    found: dict[str, Path] = {}
    files = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    for path in sorted(files):
        if path.suffix.lower() not in wanted or not path.stem.endswith(ending):
            continue
        stem = path.stem.removesuffix(ending)
        if stem in found:
            raise DataError(
                f"{folder} has both {found[stem].name} and {path.name}; needed one file per stem: remove one "
                "of them."
            )
        found[stem] = path
    return found


def read_labels(
    source: Path | bytes, suffix: str = "", name: str = "", *, max_id: int = 2**63 - 1
) -> LabelMap:
    """Return the (h, w) label map of a file, in the file's own integer type.

    For bytes, ``suffix`` is the file type and ``name`` is used in errors.
    """
    name = name or str(source)
    try:
        labels = _decoded(source, suffix or Path(name).suffix.lower(), name)
    except _DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{name} cannot be read as a label image ({reason}): write it again.") from error
    if labels.dtype.kind not in "biu":
        raise DataError(f"{name} has {labels.dtype} pixels, {_NEEDED}.")
    if labels.ndim != 2 or labels.size == 0:
        raise DataError(f"{name} has shape {_shown(labels.shape)}, {_NEEDED}: height x width.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > max_id:
        raise DataError(f"{name} has labels from {low} to {high}, {_NEEDED} and 1 to {max_id} for nuclei.")
    return labels


def _decoded(source: Path | bytes, suffix: str, name: str) -> LabelMap:
    if suffix == ".npy":
        return _read_npy(source)
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        if suffix in (".tif", ".tiff"):
            return _read_tiff(file, name)
        return _read_image(_PILLOW[suffix](file), name)


def _read_npy(source: Path | bytes) -> LabelMap:
    # unlike np.load, these functions never read pickles or archives
    labels: LabelMap = (
        np.lib.format.read_array(io.BytesIO(source), allow_pickle=False)
        if isinstance(source, bytes)
        else np.lib.format.open_memmap(source, mode="r")
    )
    return labels


def _read_tiff(file: BinaryIO, name: str) -> LabelMap:
    try:
        import tifffile
    except ImportError:
        raise DataError(
            f"{name} needs tifffile, which is not installed: `pip install tifffile`, or save labels as .npy."
        ) from None
    with tifffile.TiffFile(file) as tiff:
        series = tiff.series[0]
        _refuse_large(series.shape, name)
        try:
            labels: LabelMap = series.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
        else:
            return labels
    # a compression such as LZW, which tifffile reads only with imagecodecs
    file.seek(0)
    return _read_image(TiffImagePlugin.TiffImageFile(file), name)


def _read_image(image: ImageFile.ImageFile, name: str) -> LabelMap:
    """Read without ``Image.open``, because its limit on pixels is global."""
    if image.mode not in _LABEL_MODES:
        raise DataError(f"{name} has {image.mode} pixels, {_NEEDED}.")
    _refuse_large(image.size[::-1], name)
    return np.asarray(image)


def _refuse_large(shape: Iterable[int], name: str) -> None:
    if np.prod(list(shape), dtype=float) > MAX_PIXELS:
        raise DataError(
            f"{name} has {_shown(shape)} pixels; a label image may have {MAX_PIXELS}. Cut it into parts."
        )


def _shown(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))
