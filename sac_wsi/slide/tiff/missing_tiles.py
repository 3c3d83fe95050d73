"""Count the tiles of a TIFF that hold no data: scanners leave out empty glass, bad copies lose tissue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tifffile

if TYPE_CHECKING:
    from pathlib import Path

_VENDORS = ("aperio", "generic-tiff", "leica", "trestle", "ventana")


def missing_tiles(file: Path, vendor: str) -> int:
    """Return how many tiles of the first image have 0 bytes; 0 for other files than tiled TIFF."""
    if vendor not in _VENDORS or not file.is_file():
        return 0
    try:
        with tifffile.TiffFile(file) as tiff:
            page = tiff.pages.first
            return int((np.asarray(page.databytecounts) == 0).sum()) if page.is_tiled else 0
    except (tifffile.TiffFileError, IndexError, ValueError, OSError):
        return 0
