"""Crop a slide to the bounds that the scanner wrote, as QuPath does; arithmetic only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sac_wsi.geometry import Box
from sac_wsi.slide.protocol import Level
from sac_wsi.slide.resolution.sources import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def scan_box(properties: Mapping[str, str], size_xy: tuple[int, int]) -> Box:
    """Return the scanned area in the file's level-0 pixels; the whole image if no valid bounds are given."""
    whole = Box(0, 0, size_xy[1], size_xy[0])
    values = [number(properties.get(f"openslide.bounds-{name}")) for name in ("y", "x", "height", "width")]
    if not all(0 <= value < 2**53 for value in values):
        return whole
    y, x, height, width = (int(value) for value in values)
    scan = Box(y, x, y + height, x + width).intersect(whole)
    return whole if scan.empty else scan


def cropped_levels(
    scan: Box, sizes_xy: Sequence[tuple[int, int]], downsamples: Sequence[float]
) -> tuple[Level, ...]:
    """Return the levels cropped to the scanned area; without a crop each has the size that the file gives."""
    whole = scan == Box(0, 0, sizes_xy[0][1], sizes_xy[0][0])
    levels = []
    for (width, height), downsample in zip(sizes_xy, downsamples, strict=True):
        shape = (height, width)
        if not whole:
            cut = [int(length / downsample) for length in scan.shape]
            shape = (max(1, min(cut[0], height)), max(1, min(cut[1], width)))
        levels.append(Level(shape, float(downsample)))
    return tuple(levels)


def file_tiles(properties: Mapping[str, str], count: int) -> tuple[tuple[int, int] | None, ...]:
    """Return height and width of the file's tiles, level by level; None if unknown."""
    tiles: list[tuple[int, int] | None] = []
    for level in range(count):
        sides = [number(properties.get(f"openslide.level[{level}].tile-{s}")) for s in ("height", "width")]
        known = all(1 <= side < 2**31 for side in sides)
        tiles.append((int(sides[0]), int(sides[1])) if known else None)
    return tuple(tiles)
