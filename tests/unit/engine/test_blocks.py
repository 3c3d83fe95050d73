"""The records of the journal: what is saved is loaded, and the names on disk never change."""

from dataclasses import fields

import numpy as np
import pytest

from sac_wsi.engine.blocks import (
    DroppedRows,
    FinalBlock,
    FoundBlock,
    Rim,
    TileFailure,
    TileOutcomes,
    TileStatus,
    total_size,
)
from sac_wsi.engine.journal import Journal
from sac_wsi.nuclei.columns import Nuclei
from sac_wsi.nuclei.masks import nuclei_from_masks
from sac_wsi.tiling.grid import GridSettings, make_grid

NUCLEI = nuclei_from_masks([((0, 0), np.ones((3, 4), bool)), ((10, 5), np.ones((2, 2), bool))])
PAIRS = np.array([[0, 1]], np.int32)
OUTCOMES = TileOutcomes(
    {5: TileStatus.FAILED, 4: TileStatus.DONE, 6: TileStatus.SKIPPED}, (TileFailure(5, "no µ to read"),), 7
)
FOUND = FoundBlock(NUCLEI, Rim(np.array([1], np.int32), NUCLEI.take(np.array([1]))), PAIRS, PAIRS, OUTCOMES)
FINAL = FinalBlock(
    uuid=np.arange(32, dtype=np.uint8).reshape(2, 16),
    measurements=np.zeros((2, 11), np.float32),
    polygon_start=np.array([0, 4, 8]),
    polygon_xy_centipx=np.arange(16, dtype=np.int32).reshape(8, 2),
    anchor_yx=NUCLEI.anchor_yx,
    box=NUCLEI.box,
    area_px=NUCLEI.area_px,
    score=NUCLEI.score,
    mask_start=NUCLEI.mask_start,
    mask_bits=NUCLEI.mask_bits,
)


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path)


def assert_equal(a, b):
    for field in fields(a):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), err_msg=field.name)


def test_a_found_block_is_loaded_as_it_was_saved(journal):
    FOUND.save(journal, 3)
    loaded = FoundBlock.load(journal, 3)
    assert_equal(loaded.nuclei, NUCLEI)
    assert_equal(loaded.rim.nuclei, FOUND.rim.nuclei)
    assert loaded.rim.rows.tolist() == [1]
    assert loaded.twins.tolist() == loaded.overlaps.tolist() == [[0, 1]]
    assert loaded.tiles == OUTCOMES
    assert FoundBlock.load_count(journal, 3) == 2


def test_the_names_of_a_found_block_on_disk(journal):
    FOUND.save(journal, 0)
    columns = list(Nuclei.empty().columns())
    assert list(journal.load("found", 0)) == [
        *(f"all/{name}" for name in columns),
        *(f"out/{name}" for name in columns),
        *("out_row", "twins", "overlaps", "tile_status", "failures", "cut", "pixels_crc"),
    ]
    assert journal.load("found", 0)["tile_status"].tolist() == [[4, 1], [5, 2], [6, 0]]


def test_a_failed_block_has_no_nuclei_and_every_tile_failed(journal):
    block = make_grid((300, 300), 0.5, GridSettings(128, 10, 4, 2)).block(1)
    FoundBlock.failed(block, "ValueError: bad").save(journal, 1)
    loaded = FoundBlock.load(journal, 1)
    assert (len(loaded.nuclei), len(loaded.rim.nuclei), len(loaded.twins), len(loaded.overlaps)) == (0,) * 4
    assert set(loaded.tiles.status.values()) == {TileStatus.FAILED}
    assert loaded.tiles.failures == tuple(TileFailure(tile.index, "ValueError: bad") for tile in block.tiles)


def test_dropped_rows_by_block(journal):
    keys = np.array([[0, 4], [2, 1], [2, 9]])
    DroppedRows.from_keys(keys, block_count=4).save(journal)
    loaded = DroppedRows.load(journal)
    assert len(loaded) == 3
    assert [loaded.of(block).tolist() for block in range(4)] == [[4], [], [1, 9], []]
    assert list(journal.load("seams", 0)) == ["start", "row"]


def test_a_final_block_is_loaded_as_it_was_saved(journal):
    FINAL.save(journal, 0)
    assert_equal(FinalBlock.load(journal, 0), FINAL)
    assert list(journal.load("final", 0)) == [field.name for field in fields(FinalBlock)]
    anchors, uuids = FinalBlock.load_anchors(journal, 0)
    assert anchors.tolist() == NUCLEI.anchor_yx.tolist()
    assert uuids.shape == (2, 16)


def test_the_size_of_all_final_blocks(journal):
    for block in range(2):
        FINAL.save(journal, block)
    size = total_size(journal, range(2))
    assert (size.nuclei, size.vertices, size.mask_bytes) == (4, 16, 2 * len(NUCLEI.mask_bits))
