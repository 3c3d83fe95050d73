"""The written TIFF, read back by OpenSlide."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import openslide
import pytest
import tifffile

from sac_wsi.testing import SyntheticSlide

SLIDE = SyntheticSlide(seed=4, shape_yx=(1333, 2150), mpp=0.2425)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return SLIDE.write_tiff(tmp_path_factory.mktemp("tiff") / "a.tiff", levels=3)


def pixels(slide, level):
    return np.asarray(slide.read_region((0, 0), level, slide.level_dimensions[level]).convert("RGB")).astype(
        int
    )


def test_openslide_sees_the_levels_and_the_resolution(written):
    with openslide.OpenSlide(written) as slide:
        assert slide.level_dimensions == ((2150, 1333), (537, 333), (134, 83))
        assert slide.properties["openslide.vendor"] == "generic-tiff"
        assert slide.properties["tiff.ResolutionUnit"] == "centimeter"
        assert 1e4 / float(slide.properties["tiff.XResolution"]) == pytest.approx(SLIDE.mpp, rel=1e-6)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(SLIDE.mpp, rel=1e-6)


def test_level_0_is_the_rendered_slide(written):
    with openslide.OpenSlide(written) as slide:
        difference = np.abs(pixels(slide, 0) - SLIDE.render(SLIDE.box))
    assert difference.mean() < 2.5
    assert np.percentile(difference, 99) < 12


@pytest.mark.parametrize("level", [1, 2])
def test_lower_levels_are_area_means(tmp_path, level):
    with openslide.OpenSlide(SLIDE.write_tiff(tmp_path / "fine.tiff", levels=3, quality=98)) as slide:
        found, full = pixels(slide, level), SLIDE.render(SLIDE.box)
    step, (height, width) = 4**level, found.shape[:2]
    blocks = full[: height * step, : width * step].reshape(height, step, width, step, 3)
    # chroma is stored at half the resolution, so colours are compared on the whole, brightness everywhere
    difference = found - blocks.mean(axis=(1, 3))
    assert np.abs(difference.mean(axis=(0, 1))).max() < 1
    assert np.abs(difference @ [0.299, 0.587, 0.114]).mean() < 2


def test_the_bytes_are_the_same_with_any_number_of_threads(written, tmp_path):
    again = SLIDE.write_tiff(tmp_path / "b.tiff", levels=3, threads=1)
    assert again.read_bytes() == written.read_bytes()


def test_the_resolution_can_be_left_out(tmp_path):
    path = SLIDE.write_tiff(tmp_path / "no.tiff", mpp_tag=False, tile_px=128, quality=70)
    with openslide.OpenSlide(path) as slide:
        assert "openslide.mpp-x" not in slide.properties
        assert slide.properties["openslide.level[0].tile-width"] == "128"
        assert slide.level_count == 2


def test_a_slide_smaller_than_a_tile(tmp_path):
    small = replace(SLIDE, shape_yx=(100, 90))
    with openslide.OpenSlide(small.write_tiff(tmp_path / "s.tiff")) as slide:
        assert slide.level_dimensions == ((90, 100),)


def test_large_files_are_bigtiff(monkeypatch, tmp_path):
    monkeypatch.setattr("sac_wsi.testing.tiff._BIGTIFF_ABOVE_PX", 1000)
    small = replace(SLIDE, shape_yx=(700, 600))
    path = small.write_tiff(tmp_path / "b.tiff", levels=2)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff
    with openslide.OpenSlide(path) as slide:
        assert slide.level_dimensions == ((600, 700), (150, 175))
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(SLIDE.mpp, rel=1e-6)
        assert np.abs(pixels(slide, 0) - small.render(small.box)).mean() < 2.5


def test_nothing_is_left_beside_the_file(written):
    assert [p.name for p in written.parent.iterdir()] == ["a.tiff"]


def test_imagecodecs_is_not_needed(tmp_path):
    code = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from sac_wsi.testing import SyntheticSlide\n"
        f"SyntheticSlide(seed=1, shape_yx=(300, 300)).write_tiff({str(tmp_path / 'a.tiff')!r}, levels=2)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_impossible_tiles_and_levels_are_refused(tmp_path):
    with pytest.raises(ValueError, match="multiple of 16"):
        SLIDE.write_tiff(tmp_path / "x.tiff", tile_px=100)
    with pytest.raises(ValueError, match="pass fewer"):
        SLIDE.write_tiff(tmp_path / "x.tiff", levels=9)
    assert not list(tmp_path.iterdir())
