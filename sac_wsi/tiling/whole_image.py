"""Segment an image in memory with the same tiles and the same stitching as a slide, without files."""

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
    """Return the label map (h, w) of an image: 0 is background, each other value is one nucleus.

    Args:
        find: Returns the nuclei of each tile, in pixels of the whole image at the model's resolution.
        rgb: (h, w, 3) image.
        tile_px: Side of a tile in the model's pixels, halo included.
        halo_px: Width of the halo in the model's pixels.
        zoom: The model's pixels per pixel of the image. The image is resized by it before it is segmented,
            and the labels are resized back.
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
        return labels_from_nuclei(_stitched(find([RgbTile(rgb, frame)])[0]), frame)
    grid = make_grid(frame.shape, 1.0, GridSettings(tile_px=tile_px, halo_um=float(halo_px)))
    tiles = [grid.tile(i) for i in range(grid.tile_count)]
    found = find([RgbTile(rgb[tile.read.within(frame)], tile.read) for tile in tiles])
    owned = [
        claim(nuclei, tile, frame, grid.tolerance_px)[0] for tile, nuclei in zip(tiles, found, strict=True)
    ]
    return labels_from_nuclei(_stitched(concat(owned)), frame)


def _stitched(nuclei: Nuclei) -> Nuclei:
    """Return each nucleus once, and each pixel in one nucleus only."""
    twins = same_nucleus(overlaps_within(nuclei), nuclei.area_px, nuclei.area_px)
    nuclei = nuclei.take(np.flatnonzero(decide(precedence(nuclei), twins.pair)))
    overlaps = overlaps_within(nuclei)
    if not len(overlaps):
        return nuclei
    return trim(nuclei, nuclei, loser_winner(precedence(nuclei), overlaps.pair).astype(np.int32))
