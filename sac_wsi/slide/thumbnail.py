"""Make a small image of the whole slide, read in pieces: no level is ever in memory as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sac_wsi.geometry import Box
from sac_wsi.slide.frame import Frame, frame_for, read_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sac_wsi.slide.protocol import Rgb, Slide

_READ_SIDE_PX = 4096
"""Side of one read in level pixels: 50 MB, and few tiles of the file are decoded twice."""


def thumbnail(slide: Slide, um_per_px: float) -> tuple[Rgb, float]:
    """Return the slide at ``um_per_px``, (h, w, 3), and the level-0 pixels per pixel of it.

    It is averaged by area from the coarsest level that is at least as fine.
    """
    frame = frame_for(slide.info, um_per_px)
    rgb = np.empty((*frame.shape_yx, 3), np.uint8)
    for piece in _pieces(frame):
        rgb[piece.y0 : piece.y1, piece.x0 : piece.x1] = read_frame(slide, frame, piece)
    return rgb, frame.downsample


def _pieces(frame: Frame) -> Iterator[Box]:
    """Yield boxes in frame pixels that partition the frame, row by row."""
    side = max(1, int(_READ_SIDE_PX / frame.ratio))
    whole = Box.of_shape(frame.shape_yx)
    for y in range(0, whole.y1, side):
        for x in range(0, whole.x1, side):
            yield Box(y, x, y + side, x + side).intersect(whole)
