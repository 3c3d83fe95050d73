"""Two blocks side by side, whose nuclei are set by hand."""

import numpy as np
import pytest

from sac_wsi.engine.blocks import DroppedRows, FoundBlock, Rim, TileOutcomes
from sac_wsi.engine.journal import Journal
from sac_wsi.engine.seams import settle_seams
from sac_wsi.nuclei.columns import Nuclei, concat
from sac_wsi.nuclei.masks import nuclei_from_masks
from sac_wsi.tiling.grid import GridSettings, make_grid
from sac_wsi.tiling.stitch import near_block_border, overlaps_within, same_nucleus

GRID = make_grid((88, 176), 0.5, GridSettings(tile_px=128, halo_um=10, block_tiles=1))
"""Two blocks of one tile each, which meet at x = 88."""


def disc(y, x, score, r=6):
    yy, xx = np.mgrid[-r : r + 1, -r : r + 1]
    return nuclei_from_masks([((y - r, x - r), yy**2 + xx**2 <= r * r)], np.array([score], np.float32))


def save(journal, block, parts):
    nuclei = concat(parts) if parts else Nuclei.empty()
    overlaps = overlaps_within(nuclei)
    twins = same_nucleus(overlaps, nuclei.area_px, nuclei.area_px)
    near = near_block_border(nuclei, GRID.block(block).core, GRID.halo_px, GRID.frame)
    rim = Rim(np.flatnonzero(near).astype(np.int32), nuclei.take(near))
    FoundBlock(nuclei, rim, twins.pair, overlaps.pair, TileOutcomes({block: 1})).save(journal, block)


@pytest.fixture
def dropped(tmp_path):
    """Return the rows that are dropped of the two blocks with these nuclei."""

    def settle(left, right):
        journal = Journal(tmp_path)
        save(journal, 0, left)
        save(journal, 1, right)
        count = settle_seams(journal, GRID)
        rows = DroppedRows.load(journal)
        assert count == len(rows)
        return [rows.of(block).tolist() for block in range(2)]

    return settle


def test_the_grid_is_as_described():
    assert GRID.block_count == 2
    assert GRID.block(0).core.x1 == 88


def test_of_one_nucleus_in_two_blocks_the_better_view_stays(dropped):
    assert dropped([disc(40, 30, 0.9), disc(40, 87, 0.5)], [disc(40, 88, 0.8)]) == [[1], []]
    assert dropped([disc(40, 30, 0.9), disc(40, 87, 0.9)], [disc(40, 88, 0.8)]) == [[], [0]]


def test_two_views_within_one_block(dropped):
    assert dropped([disc(40, 30, 0.9), disc(41, 31, 0.95), disc(20, 60, 0.1)], []) == [[0], []]


def test_a_chain_is_decided_for_both_blocks_at_once(dropped):
    """The best removes its neighbour, and so the third, in the other block, stays."""
    chain = [disc(40, 77, 0.9), disc(40, 82, 0.8)]
    assert dropped(chain, [disc(40, 87, 0.7)]) == [[1], []]
    assert dropped(chain[1:], [disc(40, 87, 0.7)]) == [[], [0]]


def test_nuclei_that_only_touch_or_share_little_both_stay(dropped):
    assert dropped([disc(40, 80, 0.9)], [disc(40, 91, 0.8)]) == [[], []]


def test_blocks_without_nuclei(dropped):
    assert dropped([], []) == [[], []]
