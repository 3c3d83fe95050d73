"""The whole slide as one small picture, streamed: no level is ever held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sac_wsi.geometry import Box
from sac_wsi.slide.frame import Frame, frame_for, read_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sac_wsi.slide.protocol import Rgb, Slide

_READ_SIDE_PX = 4096
"""Level pixels a side of one read: 50 MB, and few of the file's tiles are decoded twice."""


def thumbnail(slide: Slide, um_per_px: float) -> tuple[Rgb, float]:
    """The slide at a resolution, and level-0 pixels per pixel of it.

    Read from the coarsest level that is at least that fine, area-averaged.
    """
    frame = frame_for(slide.info, um_per_px)
    rgb = np.empty((*frame.shape_yx, 3), np.uint8)
    for piece in _pieces(frame):
        rgb[piece.y0 : piece.y1, piece.x0 : piece.x1] = read_frame(slide, frame, piece)
    return rgb, frame.downsample


def _pieces(frame: Frame) -> Iterator[Box]:
    """Boxes of the frame that partition it, strip by strip."""
    side = max(1, int(_READ_SIDE_PX / frame.ratio))
    whole = Box.of_shape(frame.shape_yx)
    for y in range(0, whole.y1, side):
        for x in range(0, whole.x1, side):
            yield Box(y, x, y + side, x + side).intersect(whole)
