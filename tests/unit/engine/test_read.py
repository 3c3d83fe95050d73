"""Rows of tiles as they come from the slide."""

import threading

import numpy as np
import pytest

from sac_wsi.engine.blocks import TileFailure
from sac_wsi.engine.clock import Clock
from sac_wsi.engine.read import SlideSource, TilePixels, batches, read_ahead, read_rows
from sac_wsi.errors import InputChanged
from sac_wsi.slide.frame import read_frame
from sac_wsi.slide.open import open_slide
from sac_wsi.testing import SyntheticSlide, break_tile


def test_each_tile_has_the_pixels_of_its_box(plan):
    rows = [[row[0], row[2]] for row in ([plan.grid.tile(3 * r + c) for c in range(3)] for r in range(3))]
    clock = Clock()
    with plan.source.open() as opened:
        read = list(read_rows(opened, plan.frame, rows, clock))
        expected = {tile.index: read_frame(opened, plan.frame, tile.read) for row in rows for tile in row}
    assert [[pixels.tile.index for pixels in row] for row in read] == [[0, 2], [3, 5], [6, 8]]
    for pixels in (pixels for row in read for pixels in row):
        assert pixels.rgb.read == pixels.tile.read
        np.testing.assert_array_equal(pixels.rgb.rgb, expected[pixels.tile.index])
    assert clock.seconds["read"] > 0


def test_a_tile_that_cannot_be_read_fails_alone(plan, slide, tmp_path):
    slide.write_tiff(tmp_path / "slide.tiff")
    break_tile(tmp_path / "slide.tiff", 2)  # the pixels from x = 512 on
    with open_slide(tmp_path / "slide.tiff") as opened:
        (row,) = read_rows(opened, plan.frame, [[plan.grid.tile(i) for i in range(3)]], Clock())
    failures = [tile for tile in row if isinstance(tile, TileFailure)]
    assert [failure.tile for failure in failures] == [2]
    assert "could not be read" in failures[0].reason
    assert [tile.tile.index for tile in row if isinstance(tile, TilePixels)] == [0, 1]


def test_a_replaced_slide_is_noticed(plan, tmp_path):
    SyntheticSlide(seed=9, shape_yx=(500, 600)).write_tiff(tmp_path / "slide.tiff")
    plan.source.check()
    with pytest.raises(InputChanged, match="was replaced while it was segmented. Pass --overwrite"):
        SlideSource(tmp_path / "slide.tiff", None, plan.info.fingerprint).check()


def test_batches_are_full_and_hold_no_failures(plan):
    tiles = [TilePixels(plan.grid.tile(i), None) for i in range(5)]
    bad = TileFailure(7, "bad")
    failures = []
    got = list(batches([tiles[:2], [bad, tiles[2]], tiles[3:]], 2, failures))
    assert got == [tiles[:2], tiles[2:4], tiles[4:]]
    assert failures == [bad]


def test_the_next_item_is_read_while_this_one_is_used():
    second_is_read = threading.Event()

    def read(item):
        if item == 1:
            second_is_read.set()
        return 10 * item

    items = read_ahead(read, range(4))
    assert next(items) == 0
    assert second_is_read.wait(5)
    assert list(items) == [10, 20, 30]


def test_an_error_while_reading_ahead_is_raised_at_its_item():
    def read(item):
        return 1 // item

    items = read_ahead(read, [1, 0])
    assert next(items) == 1
    with pytest.raises(ZeroDivisionError):
        next(items)
