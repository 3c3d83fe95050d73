"""Label maps from files: one whole number per pixel, in .tif, .tiff, .png, .bmp or .npy.

The numbers are taken as they are stored. Of an image with a palette that is the index, not the colour:
palettes only show label maps, as those of GlaS and Pascal VOC do.
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
"""16,384 x 16,384, of an image that must be decoded whole. A .npy is mapped and may have any size."""
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
    """The label images in a folder by stem."""
    return by_stem(folder, SUFFIXES)


def by_stem(folder: Path, suffixes: Iterable[str], ending: str = "") -> dict[str, Path]:
    """Stem (less ``ending``) to file, sorted; hidden files and other kinds are passed over."""
    wanted = tuple(suffixes)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: give one with files of the kind {', '.join(wanted)}.")
    found: dict[str, Path] = {}
    files = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    for path in sorted(files):
        if path.suffix.lower() not in wanted or not path.stem.endswith(ending):
            continue
        stem = path.stem.removesuffix(ending)
        if stem in found:
            raise DataError(
                f"{folder} has both {found[stem].name} and {path.name}; needed one file per stem: move one "
                "of them away."
            )
        found[stem] = path
    return found


def read_labels(
    source: Path | bytes, suffix: str = "", name: str = "", *, max_id: int = 2**63 - 1
) -> LabelMap:
    """The label map of a file, (h, w), in the file's own integer type.

    Of bytes, ``suffix`` tells the kind, and ``name`` is what an error calls them.
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
    # these know no pickles and no archives, np.load does
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
    # a compression that tifffile knows with imagecodecs only, such as LZW
    file.seek(0)
    return _read_image(TiffImagePlugin.TiffImageFile(file), name)


def _read_image(image: ImageFile.ImageFile, name: str) -> LabelMap:
    """Without ``Image.open``: its limit on pixels is global, ours is per call."""
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
