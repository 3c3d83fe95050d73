"""Write a 16-bit grey PNG band by band; image libraries need the whole image in memory."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from isal import isal_zlib

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_KEYWORD = b"sac_wsi"

_UP = 2
"""PNG filter that stores each row as its difference to the row above: mostly zeros in a label image."""


def write_png16(
    file: BinaryIO, shape_yx: tuple[int, int], bands: Iterable[NDArray[np.uint16]], text: str, mpp: float
) -> None:
    """Write a PNG.

    Args:
        file: Where to write.
        shape_yx: Height and width in pixels.
        bands: Whole rows of pixels, from the top.
        text: ASCII text for a tEXt chunk.
        mpp: µm per pixel.
    """
    height, width = shape_yx
    file.write(PNG_SIGNATURE)
    _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0))
    per_metre = min(round(1e6 / mpp), 2**31 - 1)
    _write_chunk(file, b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1))
    _write_chunk(file, b"tEXt", PNG_KEYWORD + b"\0" + text.encode("ascii"))
    _write_pixels(file, width, bands)
    _write_chunk(file, b"IEND", b"")


def _write_pixels(file: BinaryIO, width: int, bands: Iterable[NDArray[np.uint16]]) -> None:
    compressor = isal_zlib.compressobj(1)
    above = np.zeros((1, 2 * width), np.uint8)
    for band in bands:
        rows = band.astype(">u2").view(np.uint8)
        scanlines = np.full((len(rows), 1 + 2 * width), _UP, np.uint8)
        np.subtract(rows, np.concatenate([above, rows[:-1]]), out=scanlines[:, 1:])
        above = rows[-1:].copy()
        _write_chunk(file, b"IDAT", compressor.compress(scanlines))
    _write_chunk(file, b"IDAT", compressor.flush())


def _write_chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)))
    file.write(kind + data)
    file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))
