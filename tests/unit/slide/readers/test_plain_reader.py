"""PNG, JPEG, TIFF and BMP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from sac_wsi.errors import SlideError
from sac_wsi.geometry import Box
from sac_wsi.slide.open import open_slide
from sac_wsi.slide.readers import plain_reader

if TYPE_CHECKING:
    from pathlib import Path

RGB = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp"])
def test_pixels_and_white_outside(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(RGB).save(tmp_path / f"a{suffix}")
    with open_slide(tmp_path / f"a{suffix}", mpp=0.25) as slide:
        assert slide.info.reader == "plain"
        rgb = slide.read_level(0, Box(-5, -5, 45, 55))
    np.testing.assert_array_equal(rgb[5:45, 5:55], RGB)
    assert (rgb[:5] == 255).all()
    assert (rgb[:, 55:] == 255).all()


def test_jpeg(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.jpg")
    with open_slide(tmp_path / "a.jpg") as slide:
        assert slide.info.shape_yx == (40, 50)


def test_alpha_and_palette_lie_on_white(tmp_path: Path) -> None:
    rgba = np.dstack([RGB, np.zeros(RGB.shape[:2], np.uint8)])
    rgba[:10, :, 3] = 255
    rgba[10:20, :, 3] = 128
    Image.fromarray(rgba).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as slide:
        rgb = slide.read_level(0, Box(0, 0, 40, 50))
    np.testing.assert_array_equal(rgb[:10], RGB[:10])
    assert (rgb[20:] == 255).all()
    expected = RGB[10:20] * (128 / 255) + 255 * (127 / 255)
    assert np.abs(rgb[10:20] - expected).max() <= 0.51
    Image.fromarray(RGB).convert("P").save(tmp_path / "p.png")
    with open_slide(tmp_path / "p.png") as slide:
        assert slide.read_level(0, Box(0, 0, 40, 50)).shape == (40, 50, 3)


@pytest.mark.parametrize(
    ("mode", "name"),
    [("I;16", "a.png"), ("I;16", "a.tiff"), ("F", "a.tiff"), ("CMYK", "a.tiff"), ("1", "a.png")],
)
def test_what_is_no_brightfield_is_refused(tmp_path: Path, mode: str, name: str) -> None:
    Image.new(mode, (20, 20)).save(tmp_path / name)
    with pytest.raises(SlideError, match="8-bit"):
        open_slide(tmp_path / name)


def test_grey_is_read_with_a_doubt(tmp_path: Path) -> None:
    Image.new("L", (20, 20), 77).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as slide:
        assert (slide.read_level(0, Box(0, 0, 20, 20)) == 77).all()
        assert "grey" in slide.info.warnings[0]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(RGB).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SlideError, match="truncated"):
        open_slide(path)


def test_the_pixel_limit_is_stated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_reader, "MAX_PIXELS", 1000)
    Image.fromarray(RGB).save(tmp_path / "a.png")
    with pytest.raises(SlideError, match=r"40 x 50 pixels; a plain image may have 1000"):
        open_slide(tmp_path / "a.png")


@pytest.mark.parametrize(("dpi", "mpp"), [(72, None), (300, None), (101_600, 0.25)])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_dpi_counts_only_for_a_microscope(tmp_path: Path, suffix: str, dpi: int, mpp: float | None) -> None:
    Image.fromarray(RGB).save(tmp_path / f"a{suffix}", dpi=(dpi, dpi))
    with open_slide(tmp_path / f"a{suffix}") as slide:
        assert slide.info.mpp == (mpp if mpp is None else pytest.approx(mpp, rel=1e-3))
