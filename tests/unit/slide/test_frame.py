"""The choice of the level, and the thumbnail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sac_wsi.errors import SlideError
from sac_wsi.geometry import Box
from sac_wsi.slide.frame import Frame, frame_for, read_frame
from sac_wsi.slide.protocol import ClosingReader, Level, SlideInfo
from sac_wsi.slide.thumbnail import thumbnail

if TYPE_CHECKING:
    from collections.abc import Callable


def info_of(mpp: float | None, shape_yx: tuple[int, int], *downsamples: float) -> SlideInfo:
    height, width = shape_yx
    levels = tuple(Level((int(height / d), int(width / d)), d) for d in downsamples)
    tiles = (None,) * len(levels)
    return SlideInfo(Path("a.svs"), "plain", "", shape_yx, (0, 0), mpp, "", ("x",), None, levels, tiles, "")


@pytest.mark.parametrize(
    ("wanted", "level", "downsample", "mpp"),
    [
        (0.25, 0, 1.0, 0.25),
        (0.26, 0, 1.0, 0.25),
        (0.5, 0, 2.0, 0.5),
        (1.0, 1, 4.0, 1.0),
        (0.97, 1, 4.0, 1.0),
        (0.94, 0, 3.76, 0.94),
        (2.0, 1, 8.0, 2.0),
        (40.0, 2, 160.0, 40.0),
        (0.125, 0, 0.5, 0.125),
    ],
)
def test_the_nearest_finer_level(wanted: float, level: int, downsample: float, mpp: float) -> None:
    frame = frame_for(info_of(0.25, (1000, 2000), 1.0, 4.0, 16.0), wanted)
    assert (frame.level, frame.downsample, frame.mpp) == (
        level,
        pytest.approx(downsample),
        pytest.approx(mpp),
    )
    assert frame.shape_yx == (int(1000 / frame.downsample), int(2000 / frame.downsample))


def test_duplicate_and_unordered_levels_take_the_first_that_fits() -> None:
    info = info_of(0.25, (1000, 2000), 1.0, 16.0, 4.0, 1.0)
    assert frame_for(info, 0.25).level == 0
    assert frame_for(info, 2.0).level == 2


def test_a_tiny_slide_has_one_pixel() -> None:
    assert frame_for(info_of(0.25, (3, 3), 1.0), 8.0).shape_yx == (1, 1)


def test_a_missing_or_wrong_resolution_is_refused() -> None:
    with pytest.raises(SlideError, match="--mpp"):
        frame_for(info_of(None, (10, 10), 1.0), 0.25)
    with pytest.raises(SlideError, match="Cannot read at 0"):
        frame_for(info_of(0.25, (10, 10), 1.0), 0)


class Striped(ClosingReader):
    """A slide with computed pixels: grey rows. It records its largest read."""

    def __init__(self, shape_yx: tuple[int, int]) -> None:
        self.info = info_of(0.25, shape_yx, 1.0)
        self.largest_read_px = 0

    def __enter__(self) -> Striped:
        return self

    def read_level(self, level: int, box_level: Box) -> np.ndarray:
        self.largest_read_px = max(self.largest_read_px, box_level.area)
        rows = (np.arange(box_level.y0, box_level.y1) // 64 % 256).astype(np.uint8)
        return np.broadcast_to(rows[:, None, None], (*box_level.shape, 3))


def test_the_thumbnail_of_one_large_level_is_read_in_pieces() -> None:
    slide = Striped((9000, 20_000))
    rgb, downsample = thumbnail(slide, 16.0)
    assert downsample == 64
    assert rgb.shape == (140, 312, 3)
    assert (rgb[:, :, 0] == np.arange(140)[:, None]).all()
    assert slide.largest_read_px <= 4096**2


def test_the_thumbnail_equals_the_frame(
    make_slide: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sac_wsi.slide import thumbnail as module
    from sac_wsi.slide.open import open_slide

    monkeypatch.setattr(module, "_READ_SIDE_PX", 100)
    with open_slide(make_slide(shrink=(1, 2))) as slide:
        rgb, downsample = thumbnail(slide, 1.7)
        frame = frame_for(slide.info, 1.7)
        assert isinstance(frame, Frame)
        assert downsample == frame.downsample
        np.testing.assert_array_equal(rgb, read_frame(slide, frame, Box.of_shape(frame.shape_yx)))
