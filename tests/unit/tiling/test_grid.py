import numpy as np
import pytest

from sac_wsi.errors import ConfigError
from sac_wsi.geometry import Box
from sac_wsi.tiling.grid import GridSettings, SettingNames, make_grid


def grid_of(shape_yx, tile_px=128, halo_um=5.0, mpp=0.5, block_tiles=3):
    return make_grid(shape_yx, mpp, GridSettings(tile_px, halo_um, 4, block_tiles))


@pytest.mark.parametrize("shape_yx", [(1, 1), (107, 109), (108, 108), (1000, 733)])
def test_cores_partition_the_slide(shape_yx):
    grid = grid_of(shape_yx)
    claimed = np.zeros(shape_yx, int)
    for i in range(grid.tile_count):
        tile = grid.tile(i)
        assert not tile.core.empty
        claimed[tile.core.within(grid.frame)] += 1
    assert (claimed == 1).all()


@pytest.mark.parametrize("shape_yx", [(107, 109), (1000, 733)])
def test_blocks_hold_every_tile_once(shape_yx):
    grid = grid_of(shape_yx)
    tiles = [t.index for i in range(grid.block_count) for t in grid.block(i).tiles]
    assert sorted(tiles) == list(range(grid.tile_count))
    assert all(
        grid.block(i).core.contains(t.core) for i in range(grid.block_count) for t in grid.block(i).tiles
    )


def test_micrometres_become_pixels_at_the_frames_resolution():
    assert grid_of((1000, 1000), halo_um=5.0, mpp=0.5).halo_px == 10
    assert grid_of((1000, 1000), halo_um=5.0, mpp=0.3).halo_px == 17


def test_reads_are_cores_with_halo_clipped_to_the_slide():
    tile = grid_of((1000, 1000)).tile(0)
    assert tile.read == Box(0, 0, 118, 118)


def test_neighbours_are_the_blocks_whose_masks_can_overlap():
    grid = grid_of((1000, 1000))
    middle = 5
    reach = grid.block(middle).core.dilate(grid.halo_px)
    meeting = [
        i
        for i in range(grid.block_count)
        if i != middle and not grid.block(i).core.dilate(grid.halo_px).intersect(reach).empty
    ]
    assert grid.neighbours(middle) == meeting == [0, 1, 2, 4, 6, 8, 9, 10]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (GridSettings(tile_px=64, halo_um=24), "grid.tile_px"),
        (GridSettings(halo_um=1.0, tolerance_px=4), "grid.halo_um"),
        (GridSettings(halo_um=-1.0), "^grid.halo_um is -1.0: needed above 0.$"),
        (GridSettings(tolerance_px=-1), "^grid.tolerance_px is -1: needed at least 0.$"),
        (GridSettings(block_tiles=0), "^grid.block_tiles is 0: needed at least 1.$"),
    ],
)
def test_an_impossible_grid_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        make_grid((1000, 1000), 0.5, settings)


def test_messages_name_the_settings_of_the_caller():
    names = SettingNames(tile_px="size.tile_px", halo_um="halo_um")
    with pytest.raises(
        ConfigError, match=r"^size.tile_px 64 leaves .* --set size.tile_px=\d+ or a smaller halo_um"
    ):
        make_grid((1, 1), 0.5, GridSettings(64, 24.0), names)
    with pytest.raises(ConfigError, match=r"^halo_um 1.0 is 2 px"):
        make_grid((1, 1), 0.5, GridSettings(512, 1.0), names)
