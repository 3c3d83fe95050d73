"""Write the label image as one file: a 32-bit tiled TIFF, or a 16-bit PNG if the ids fit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np
import tifffile
from isal import isal_zlib

from sac_wsi.errors import OutputError
from sac_wsi.export.formats import Form, Json, export_form
from sac_wsi.export.png import write_png16
from sac_wsi.files.atomic import atomic_file, nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

TILE_PX = 1024
"""Side of a TIFF tile: the same as the chunks of the store, so that each chunk is decoded once."""

PIECE_TILES = 4
PNG_BAND_PX = 512
PNG_LARGEST_ID = 65_535
PNG_LARGEST_SIDE_PX = 30_000
_CLASSIC_TIFF_BYTES = 2**31


class LabelArray(Protocol):
    """A label image; both zarr and NumPy arrays fit."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width in label pixels."""

    def __getitem__(self, key: tuple[slice, slice], /) -> Any:
        """Return the uint32 labels of a box."""


def write_label_image(
    path: Path,
    labels: LabelArray,
    header: Mapping[str, Json],
    *,
    mpp: float,
    may_replace: Callable[[Path], bool] = nothing,
) -> int:
    """Write a label image and return the size of the file in bytes.

    Args:
        path: The file; its ending decides between TIFF and PNG.
        labels: (h, w) ids of nuclei; 0 is background.
        header: Written as the TIFF's ImageDescription or as the PNG's text "sac_wsi".
        mpp: µm per label pixel.
        may_replace: Asked if there is a file of that name when the new one is complete.
    """
    form = export_form(path)
    text = json.dumps(header, ensure_ascii=True, separators=(",", ":"))
    if form is Form.PNG:
        _refuse_large_png(labels, path)
    elif form is not Form.TIFF:
        raise OutputError(f"{path.name!r} is the name of {form.value}, not of a label image. Try .tif.")
    with atomic_file(path, may_replace) as file:
        if form is Form.PNG:
            write_png16(file, _shape_yx(labels), _png_bands(labels, path), text, mpp)
        else:
            _write_tiff(file, labels, text, mpp)
    return path.stat().st_size


def _shape_yx(labels: LabelArray) -> tuple[int, int]:
    height, width = labels.shape
    return int(height), int(width)


def _write_tiff(file: BinaryIO, labels: LabelArray, text: str, mpp: float) -> None:
    height, width = _shape_yx(labels)
    per_cm = 1e4 / mpp
    with tifffile.TiffWriter(file, bigtiff=4 * height * width > _CLASSIC_TIFF_BYTES) as tiff:
        tiff.write(
            _compressed_tiles(labels),
            shape=(height, width),
            dtype=np.uint32,
            tile=(TILE_PX, TILE_PX),
            compression="zlib",
            photometric="minisblack",
            description=text,
            metadata=None,  # by default tifffile adds its own description
            software=False,
            resolution=(per_cm, per_cm),
            resolutionunit="CENTIMETER",
        )


def _compressed_tiles(labels: LabelArray) -> Iterator[bytes]:
    """Yield the compressed tiles of the TIFF, row by row; the labels are read in pieces to save memory.

    They are compressed here because tifffile uses another library, with other bytes, if imagecodecs is
    installed.
    """
    height, width = _shape_yx(labels)
    for y in range(0, height, TILE_PX):
        for x in range(0, width, PIECE_TILES * TILE_PX):
            piece = _read(labels, slice(y, y + TILE_PX), slice(x, x + PIECE_TILES * TILE_PX))
            for left in range(0, piece.shape[1], TILE_PX):
                yield isal_zlib.compress(_padded(piece[:, left : left + TILE_PX]), 1)


def _read(labels: LabelArray, rows: slice, columns: slice) -> NDArray[np.uint32]:
    """Return the labels of a box, cut at the edge of the image."""
    height, width = _shape_yx(labels)
    cut = labels[rows.start : min(rows.stop, height), columns.start : min(columns.stop, width)]
    return np.asarray(cut, np.uint32)


def _padded(tile: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return a full tile, little-endian like the file, with background outside the image."""
    full = np.zeros((TILE_PX, TILE_PX), "<u4")
    full[: tile.shape[0], : tile.shape[1]] = tile
    return full


def _refuse_large_png(labels: LabelArray, path: Path) -> None:
    height, width = _shape_yx(labels)
    if max(height, width) > PNG_LARGEST_SIDE_PX:
        raise OutputError(
            f"The label image has {width:,} x {height:,} pixels; a PNG, which programs read as a whole, "
            f"has at most {PNG_LARGEST_SIDE_PX:,} a side. Export to {path.with_suffix('.tif').name} instead."
        )


def _png_bands(labels: LabelArray, path: Path) -> Iterator[NDArray[np.uint16]]:
    height, width = _shape_yx(labels)
    for y in range(0, height, PNG_BAND_PX):
        band = _read(labels, slice(y, y + PNG_BAND_PX), slice(0, width))
        largest = int(band.max(initial=0))
        if largest > PNG_LARGEST_ID:
            raise OutputError(
                f"The label image has nucleus {largest:,}; a 16-bit PNG ends at {PNG_LARGEST_ID:,}. "
                f"Export to {path.with_suffix('.tif').name} instead."
            )
        yield band.astype(np.uint16)
