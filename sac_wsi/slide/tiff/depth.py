"""Refuse TIFF files of more than 8 bits a sample: OpenSlide would cut them to 8 and say nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tifffile

from sac_wsi.errors import SlideError
from sac_wsi.slide.protocol import shown

if TYPE_CHECKING:
    from pathlib import Path

_VENDORS = ("generic-tiff", "aperio", "leica", "trestle", "ventana")


def refuse_deep_pixels(path: Path, file: Path, vendor: str) -> None:
    """Look at the first directory of a TIFF; other formats come as 8 bits from OpenSlide itself."""
    if vendor not in _VENDORS:
        return
    try:
        with tifffile.TiffFile(file) as tiff:
            bits = tiff.pages.first.bitspersample
    except (tifffile.TiffFileError, IndexError):
        return  # what tifffile does not understand, OpenSlide did
    deepest = max(bits) if isinstance(bits, tuple) else int(bits)
    if deepest > 8:
        raise SlideError(too_deep(path, deepest))


def too_deep(path: Path, bits: int) -> str:
    return (
        f"{shown(path)} has {bits} bits per sample, as fluorescence has; needed 8-bit brightfield RGB. "
        "Export it as 8-bit RGB."
    )
