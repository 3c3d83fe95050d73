"""Refuse TIFF files with more than 8 bits per sample: OpenSlide cuts them to 8 without a warning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tifffile

from sac_wsi.errors import SlideError
from sac_wsi.slide.protocol import safe_name

if TYPE_CHECKING:
    from pathlib import Path

_VENDORS = ("generic-tiff", "aperio", "leica", "trestle", "ventana")


def refuse_more_than_8_bits(path: Path, file: Path, vendor: str) -> None:
    """Raise SlideError if the first directory of a TIFF says so; other formats have 8 bits in OpenSlide."""
    if vendor not in _VENDORS:
        return
    try:
        with tifffile.TiffFile(file) as tiff:
            bits = tiff.pages.first.bitspersample
    except (tifffile.TiffFileError, IndexError):
        return  # OpenSlide opened what tifffile does not understand
    deepest = max(bits) if isinstance(bits, tuple) else int(bits)
    if deepest > 8:
        raise SlideError(bit_depth_message(path, deepest))


def bit_depth_message(path: Path, bits: int) -> str:
    """Return the message for a file with too many bits per sample."""
    return (
        f"{safe_name(path)} has {bits} bits per sample, which is usual for fluorescence; needed 8-bit "
        "brightfield RGB. Export it as 8-bit RGB."
    )
