"""Read a slide at the resolution of the model, box by box."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING

import numpy as np

from sac_wsi.errors import SlideError
from sac_wsi.geometry import Box
from sac_wsi.slide.resample import resample, source_span
from sac_wsi.slide.resolution.mpp import MPP_RANGE_UM, require_mpp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sac_wsi.slide.protocol import Rgb, Slide, SlideInfo

NO_RESAMPLING_WITHIN = 0.05
"""A level whose resolution differs by at most this share is not resampled; training varies scale by more."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A pixel grid over the cropped slide, with the same corner.

    mpp               micrometres per frame pixel
    downsample        level-0 pixels per frame pixel, below 1 where the frame is finer than the slide
    level             the level that it is read from
    level_downsample  level-0 pixels per pixel of that level
    shape_yx          height and width in frame pixels that lie completely on the slide
    """

    mpp: float
    downsample: float
    level: int
    level_downsample: float
    shape_yx: tuple[int, int]

    @property
    def ratio(self) -> float:
        """Level pixels per frame pixel."""
        return self.downsample / self.level_downsample

    def to_level0(self, box_frame: Box) -> Box:
        """Return the box of level-0 pixels that a box in frame pixels touches."""
        k = self.downsample
        return Box(
            floor(box_frame.y0 * k), floor(box_frame.x0 * k), ceil(box_frame.y1 * k), ceil(box_frame.x1 * k)
        )

    def points_to_level0(self, points_yx: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the centres of frame pixels, (N, 2) y, x, in level-0 pixels."""
        centres_yx = points_yx.astype(np.float64) + 0.5
        return centres_yx * self.downsample


def frame_for(info: SlideInfo, mpp: float) -> Frame:
    """Return the frame for ``mpp`` µm per pixel.

    A level of about this resolution is used without resampling; otherwise the next finer level is resampled.
    """
    slide_mpp = require_mpp(info)
    if not 0 < mpp < np.inf:
        raise SlideError(f"Cannot read at {mpp:g} µm per pixel: needed about {MPP_RANGE_UM[0]:g} or more.")
    downsamples = [level.downsample for level in info.levels]
    differences = [abs(slide_mpp * downsample / mpp - 1) for downsample in downsamples]
    nearest = min(range(len(differences)), key=lambda i: (differences[i], i))
    if differences[nearest] <= NO_RESAMPLING_WITHIN:
        level, downsample = nearest, downsamples[nearest]
    else:
        downsample = mpp / slide_mpp
        finer = [i for i in range(len(downsamples)) if downsamples[i] <= downsample]
        level = max(finer, key=lambda i: (downsamples[i], -i), default=0)
    height, width = (max(1, int(length / downsample)) for length in info.shape_yx)
    return Frame(slide_mpp * downsample, downsample, level, downsamples[level], (height, width))


def read_frame(slide: Slide, frame: Frame, box_frame: Box) -> Rgb:
    """Return the pixels of a box in frame pixels, white outside the slide.

    The value of a pixel does not depend on the box through which it is read.
    """
    rgb = np.full((*box_frame.shape, 3), 255, np.uint8)
    inside = box_frame.intersect(Box.of_shape(frame.shape_yx))
    if inside.empty:
        return rgb
    height, width = slide.info.levels[frame.level].shape_yx
    y0, y1 = source_span(inside.y0, inside.y1, frame.ratio, height)
    x0, x1 = source_span(inside.x0, inside.x1, frame.ratio, width)
    source = slide.read_level(frame.level, Box(y0, x0, y1, x1))
    if frame.ratio == 1 and source.shape[:2] == rgb.shape[:2]:
        return source
    resample(source, (y0, x0), frame.ratio, (inside.y0, inside.x0), rgb[inside.within(box_frame)])
    return rgb
