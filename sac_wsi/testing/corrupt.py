"""Damage files for tests, as disks and networks do."""

from __future__ import annotations

import os
from pathlib import Path

from tifffile import TiffFile


def truncate(path: str | Path, fraction: float) -> None:
    """Keep only the first ``fraction`` (0 to 1) of a file, as an interrupted copy does."""
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction is {fraction}, needed 0..1: the share of the file to keep")
    os.truncate(path, int(Path(path).stat().st_size * fraction))


def break_tile(path: str | Path, index: int) -> None:
    """Overwrite the start of one tile of a TIFF's level 0, so that it is not a valid JPEG.

    ``index`` counts the tiles in reading order from 0.
    """
    with TiffFile(path) as tiff:
        page = tiff.pages.first
        offsets, sizes = page.dataoffsets, page.databytecounts
    if not 0 <= index < len(offsets):
        raise ValueError(f"no tile {index} in {path}: level 0 has tiles 0..{len(offsets) - 1}")
    with Path(path).open("r+b") as file:
        file.seek(offsets[index])
        file.write(b"\0" * min(64, sizes[index]))
