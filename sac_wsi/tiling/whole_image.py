"""A label map of an image in memory, by whatever segments tiles: no slide, no files, the same stitching."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sac_wsi.geometry import Box
from sac_wsi.nuclei.columns import Nuclei, concat
from sac_wsi.nuclei.masks import labels_from_nuclei
from sac_wsi.tiling.grid import GridSettings, make_grid
from sac_wsi.tiling.segmenter import RgbTile
from sac_wsi.tiling.stitch import claim, decide, loser_winner, overlaps_within, precedence, same_nucleus, trim

Rgb = NDArray[np.uint8]
Labels = NDArray[np.int32]
FindNuclei = Callable[[Sequence[RgbTile]], list[Nuclei]]


def label_image(find: FindNuclei, rgb: Rgb, tile_px: int, halo_px: int, zoom: float = 1.0) -> Labels:
    """(h, w) of an image (h, w, 3); 0 is background, the others one nucleus each.

    ``zoom`` is the model's pixels per pixel of the image: it is segmented at that size, and the labels are
    brought back to the image's own.
    """
    height, width = rgb.shape[:2]
    shape = (max(1, round(height * zoom)), max(1, round(width * zoom)))
    if shape == (height, width):
        return _labels(find, rgb, tile_px, halo_px)
    scaled = np.asarray(Image.fromarray(rgb).resize(shape[::-1], Image.Resampling.BILINEAR))
    found = Image.fromarray(_labels(find, scaled, tile_px, halo_px))
    return np.asarray(found.resize((width, height), Image.Resampling.NEAREST), np.int32)


def _labels(find: FindNuclei, rgb: Rgb, tile_px: int, halo_px: int) -> Labels:
    frame = Box.of_shape((rgb.shape[0], rgb.shape[1]))
    if max(frame.shape) <= tile_px:
        return labels_from_nuclei(_apart(find([RgbTile(rgb, frame)])[0]), frame)
    grid = make_grid(frame.shape, 1.0, GridSettings(tile_px=tile_px, halo_um=float(halo_px)))
    tiles = [grid.tile(i) for i in range(grid.tile_count)]
    found = find([RgbTile(rgb[tile.read.within(frame)], tile.read) for tile in tiles])
    owned = [
        claim(nuclei, tile, frame, grid.tolerance_px)[0] for tile, nuclei in zip(tiles, found, strict=True)
    ]
    return labels_from_nuclei(_apart(concat(owned)), frame)


def _apart(nuclei: Nuclei) -> Nuclei:
    """Each nucleus once, and no pixel twice."""
    twins = same_nucleus(overlaps_within(nuclei), nuclei.area_px, nuclei.area_px)
    nuclei = nuclei.take(np.flatnonzero(decide(precedence(nuclei), twins.pair)))
    overlaps = overlaps_within(nuclei)
    if not len(overlaps):
        return nuclei
    return trim(nuclei, nuclei, loser_winner(precedence(nuclei), overlaps.pair).astype(np.int32))
