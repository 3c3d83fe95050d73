"""Broken files are broken where they should be and nowhere else."""

from __future__ import annotations

import openslide
import pytest

from sac_wsi.testing import SyntheticSlide, break_tile, truncate


@pytest.fixture
def path(tmp_path):
    return SyntheticSlide(seed=1, shape_yx=(600, 600)).write_tiff(tmp_path / "a.tiff")


def test_a_broken_tile_fails_and_the_others_do_not(path):
    break_tile(path, 4)
    with openslide.OpenSlide(path) as slide:
        slide.read_region((0, 0), 0, (256, 256))
    with openslide.OpenSlide(path) as slide, pytest.raises(openslide.OpenSlideError):
        slide.read_region((256, 256), 0, (256, 256))


def test_a_truncated_file_keeps_its_beginning(path):
    whole = path.read_bytes()
    truncate(path, 0.25)
    assert path.read_bytes() == whole[: len(whole) // 4]


def test_impossible_damage_is_refused(path):
    with pytest.raises(ValueError, match=r"tiles 0\.\.8"):
        break_tile(path, 9)
    with pytest.raises(ValueError, match="share of the file to keep"):
        truncate(path, 2)
