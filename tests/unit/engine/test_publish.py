"""From finished blocks to the table of the store."""

import filecmp

import numpy as np
import pytest
import zarr

from sac_wsi.engine.blocks import FinalBlock, FoundBlock, Rim, TileOutcomes, TileStatus
from sac_wsi.engine.journal import Journal
from sac_wsi.engine.publish import begin_publishing, write_table, write_tiles_and_tissue
from sac_wsi.errors import OutputError, StoreError
from sac_wsi.nuclei.columns import Nuclei, concat
from sac_wsi.nuclei.identity import NAMESPACE, nucleus_uuids
from sac_wsi.nuclei.masks import nuclei_from_masks
from sac_wsi.nuclei.measure import measure
from sac_wsi.nuclei.polygons import outlines
from sac_wsi.store.columns import PAGE_PX, Table
from sac_wsi.tiling.grid import GridSettings, make_grid
from sac_wsi.tissue.find import TissueMask

SHAPE_YX = (PAGE_PX + 500, PAGE_PX + 900)
"""A frame of 2 x 2 pages."""


def grid_of(block_tiles):
    return make_grid(SHAPE_YX, 0.5, GridSettings(tile_px=512, halo_um=20, block_tiles=block_tiles))


def scattered(count=60):
    rng = np.random.default_rng(4)
    corners = rng.integers(0, np.array(SHAPE_YX) - 12, (count, 2))
    shapes = rng.integers(3, 12, (count, 2))
    masks = [(tuple(corner), np.ones(shape, bool)) for corner, shape in zip(corners, shapes, strict=True)]
    return nuclei_from_masks(masks, rng.random(count, np.float32))


def final(nuclei):
    start, xy = outlines(nuclei, 1.0)
    columns = {k: v for k, v in nuclei.columns().items() if k not in ("stain_od", "tile")}
    uuid = nucleus_uuids(nuclei, NAMESPACE)
    return FinalBlock(uuid, measure(start, xy, nuclei.stain_od, 0.5), start, xy, **columns)


def write(folder, nuclei, block_tiles):
    """Write the table of these nuclei, cut into blocks of this size."""
    folder.mkdir()
    journal, grid = Journal(folder), grid_of(block_tiles)
    for index in range(grid.block_count):
        core = grid.block(index).core
        y, x = nuclei.anchor_yx.T
        inside = (y >= core.y0) & (y < core.y1) & (x >= core.x0) & (x < core.x1)
        final(nuclei.take(inside)).save(journal, index)
    begin_publishing(journal)
    assert write_table(journal, grid) == len(nuclei)
    return journal.publish_folder


def test_ids_are_ranks_by_anchor_and_rows_go_by_page(tmp_path):
    nuclei = scattered()
    table = Table(write(tmp_path / "a", nuclei, 2))
    ids, anchors = table.column("id"), table.column("anchor_yx")
    order = np.argsort(ids)
    assert ids[order].tolist() == list(range(1, len(nuclei) + 1))
    expected = nuclei.anchor_yx[np.lexsort([nuclei.anchor_yx[:, 1], nuclei.anchor_yx[:, 0]])]
    assert anchors[order].tolist() == expected.tolist()
    page = (anchors // PAGE_PX) @ [2, 1]
    assert np.lexsort([ids, page]).tolist() == list(range(len(nuclei)))
    starts = zarr.open_array(table.store, path="nuclei/page_start")[:]
    assert starts.tolist() == [0, *np.cumsum(np.bincount(page, minlength=4))]


def test_masks_and_polygons_stay_with_their_nucleus(tmp_path):
    nuclei = scattered()
    rows = Table(write(tmp_path / "a", nuclei, 2)).rows(0, len(nuclei))
    by_box = {tuple(box): i for i, box in enumerate(nuclei.box.tolist())}
    for i, box in enumerate(rows.box.tolist()):
        source = nuclei.take(np.array([by_box[tuple(box)]]))
        bits = rows.mask_bits[rows.mask_start[i] : rows.mask_start[i + 1]]
        assert bits.tolist() == source.mask_bits.tolist()
        assert (rows.polygon_px(i) == outlines(source, 1.0)[1] / 100).all()
        assert rows.score[i] == source.score[0]


def test_blocks_do_not_change_the_table(tmp_path):
    stores = [write(tmp_path / str(tiles), scattered(), tiles) for tiles in (1, 3, 99)]
    names = sorted(path.relative_to(stores[0]) for path in stores[0].rglob("*") if path.is_file())
    assert names
    for other in stores[1:]:
        assert filecmp.cmpfiles(stores[0], other, names, shallow=False)[0] == names


def test_equal_anchors_are_ordered_by_uuid(tmp_path):
    square, cross = np.ones((3, 3), bool), np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    pair = nuclei_from_masks([((50, 50), square), ((50, 50), cross)])
    assert pair.anchor_yx[0].tolist() == pair.anchor_yx[1].tolist()
    for folder, nuclei in (("a", pair), ("b", concat([pair.take(np.array([1])), pair.take(np.array([0]))]))):
        table = Table(write(tmp_path / folder, nuclei, 2))
        uuids = [row.tobytes() for row in table.column("uuid")]
        assert uuids == sorted(uuids)


def test_a_table_without_nuclei(tmp_path):
    table = Table(write(tmp_path / "a", Nuclei.empty(), 2))
    assert len(table) == 0
    assert list(table.batches()) == []


def test_the_status_of_every_tile_and_the_tissue_are_written(tmp_path):
    journal, grid = Journal(tmp_path), grid_of(3)
    nothing, no_pairs = Nuclei.empty(), np.zeros((0, 2), np.int32)
    expected = np.zeros(grid.tile_count, np.uint8)
    for index in range(grid.block_count):
        status = {tile.index: TileStatus(tile.index % 3) for tile in grid.block(index).tiles}
        for tile, value in status.items():
            expected[tile] = value
        rim = Rim(np.zeros(0, np.int32), nothing)
        FoundBlock(nothing, rim, no_pairs, no_pairs, TileOutcomes(status)).save(journal, index)
    begin_publishing(journal)
    tissue = TissueMask(np.array([[True, False], [True, True]]), 64.0)
    counts = write_tiles_and_tissue(journal, grid, tissue)
    skipped, done, failed = np.bincount(expected)
    assert counts == {"done": done, "failed": failed, "skipped": skipped}
    group = zarr.open_group(journal.publish_folder, mode="r")
    assert group["tile_status"][:].tolist() == expected.reshape(grid.tiles_yx).tolist()
    assert group["tissue"][:].tolist() == [[1, 0], [1, 1]]
    assert group["tissue"].attrs["downsample"] == 64.0


def test_an_interrupted_attempt_is_removed(tmp_path):
    journal = Journal(tmp_path)
    zarr.create_array(journal.publish_folder / "0", data=np.ones((3, 3)))
    begin_publishing(journal)
    assert [path.name for path in journal.publish_folder.iterdir()] == ["zarr.json"]
    (journal.publish_folder / "notes.txt").touch()
    with pytest.raises(OutputError, match="did not write"):
        begin_publishing(journal)


def test_a_missing_block_is_an_error(tmp_path):
    begin_publishing(Journal(tmp_path))
    with pytest.raises(StoreError, match="0000000.columns"):
        write_table(Journal(tmp_path), grid_of(99))
