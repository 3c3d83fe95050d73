"""Whatever box a frame is read through, a pixel of it is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sac_wsi.geometry import Box
from sac_wsi.slide.frame import Frame, frame_for, read_frame
from sac_wsi.slide.protocol import ClosingReader, Level, SlideInfo

RATIOS = (1.0, 2.0, 4.0, 3.0, 1.7, 2.016, 0.5, 0.9)


class ArraySlide(ClosingReader):
    """A slide of one level that is an array."""

    def __init__(self, rgb: np.ndarray, mpp: float = 0.25) -> None:
        shape = rgb.shape[:2]
        self.rgb = rgb
        self.read_px = 0
        self.info = SlideInfo(
            Path("a"), "plain", "", shape, (0, 0), mpp, "", (), None, (Level(shape, 1.0),), (None,), ""
        )

    def __enter__(self) -> ArraySlide:
        return self

    def read_level(self, level: int, box_level: Box) -> np.ndarray:
        self.read_px += box_level.area
        out = np.full((*box_level.shape, 3), 255, np.uint8)
        whole = Box.of_shape(self.rgb.shape[:2])
        inside = box_level.intersect(whole)
        if not inside.empty:
            out[inside.within(box_level)] = self.rgb[inside.within(whole)]
        return out


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def frame_of(slide: ArraySlide, ratio: float) -> Frame:
    """Exactly this ratio, also within the 5 % where ``frame_for`` would take the level as it is."""
    height, width = (int(v / ratio) for v in slide.info.shape_yx)
    return Frame(0.25 * ratio, ratio, 0, 1.0, (height, width))


SLIDE = ArraySlide(noise(97, 131))


@given(
    ratio=st.sampled_from(RATIOS),
    y0=st.integers(-10, 150),
    x0=st.integers(-10, 150),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    cut_y=st.integers(0, 60),
    cut_x=st.integers(0, 60),
)
@settings(max_examples=300, deadline=None)
def test_a_box_equals_its_parts(
    ratio: float, y0: int, x0: int, height: int, width: int, cut_y: int, cut_x: int
) -> None:
    frame = frame_of(SLIDE, ratio)
    box = Box(y0, x0, y0 + height, x0 + width)
    mid_y, mid_x = min(y0 + cut_y, box.y1), min(x0 + cut_x, box.x1)
    whole = read_frame(SLIDE, frame, box)
    for part in (
        Box(y0, x0, mid_y, mid_x),
        Box(y0, mid_x, mid_y, box.x1),
        Box(mid_y, x0, box.y1, mid_x),
        Box(mid_y, mid_x, box.y1, box.x1),
    ):
        np.testing.assert_array_equal(read_frame(SLIDE, frame, part), whole[part.within(box)])


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_constant_slide_stays_constant(ratio: float) -> None:
    slide = ArraySlide(np.full((83, 61, 3), (255, 7, 130), np.uint8))
    frame = frame_of(slide, ratio)
    rgb = read_frame(slide, frame, Box.of_shape(frame.shape_yx))
    assert (rgb == (255, 7, 130)).all()


def test_a_level_that_ends_early_is_extended_the_same_from_every_box() -> None:
    slide = ArraySlide(noise(37, 37))
    frame = Frame(0.5, 2.0, 0, 1.0, (19, 19))
    whole = read_frame(slide, frame, Box(0, 0, 19, 19))
    np.testing.assert_array_equal(read_frame(slide, frame, Box(5, 5, 18, 18)), whole[5:18, 5:18])
    np.testing.assert_array_equal(read_frame(slide, frame, Box(18, 18, 19, 19)), whole[18:, 18:])


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_whole_ratios_are_means(ratio: int) -> None:
    slide = ArraySlide(noise(48, 60))
    rgb = read_frame(slide, frame_of(slide, ratio), Box(0, 0, 48 // ratio, 60 // ratio))
    mean = slide.rgb.reshape(48 // ratio, ratio, 60 // ratio, ratio, 3).astype(float).mean((1, 3))
    np.testing.assert_array_equal(rgb, np.floor(mean + 0.5 + 1e-9))


def test_other_ratios_weigh_by_area() -> None:
    """Against the running integral of the picture, interpolated: an independent way to the same means."""
    ratio, slide = 1.7, ArraySlide(noise(51, 68))
    frame = frame_of(slide, ratio)
    height, width = frame.shape_yx
    integral = np.zeros((52, 69, 3))
    integral[1:, 1:] = slide.rgb.astype(float).cumsum(0).cumsum(1)
    rows = np.stack(
        [
            [np.interp(np.arange(height + 1) * ratio, range(52), c) for c in p.T]
            for p in integral.swapaxes(0, 1)
        ]
    )
    cells = np.stack(
        [
            [np.interp(np.arange(width + 1) * ratio, range(69), v) for v in p.T]
            for p in rows.transpose(1, 0, 2)
        ]
    )
    mean = np.diff(np.diff(cells, axis=1), axis=2).transpose(1, 2, 0) / ratio**2
    rgb = read_frame(slide, frame, Box(0, 0, height, width))
    assert np.abs(rgb - mean).max() <= 0.501


def test_growing_is_bilinear() -> None:
    ramp = np.repeat(np.arange(0, 200, 10, dtype=np.uint8)[None, :, None], 8, 0).repeat(3, 2)
    slide = ArraySlide(ramp)
    rgb = read_frame(slide, frame_of(slide, 0.5), Box(0, 0, 16, 40))
    expected = np.interp((np.arange(40) + 0.5) * 0.5 - 0.5, range(20), range(0, 200, 10))
    assert np.abs(rgb[3, :, 1] - expected).max() <= 0.5


def test_only_what_the_box_needs_is_read() -> None:
    slide = ArraySlide(noise(400, 400))
    read_frame(slide, frame_of(slide, 1.7), Box(10, 10, 60, 60))
    assert slide.read_px <= 87**2


def test_outside_is_white() -> None:
    frame = frame_for(SLIDE.info, 0.5)
    assert (read_frame(SLIDE, frame, Box(-20, -20, -5, -5)) == 255).all()
    assert (read_frame(SLIDE, frame, Box(-1, 0, 1, 4))[0] == 255).all()
