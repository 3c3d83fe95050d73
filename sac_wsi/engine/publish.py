"""Build the store from the finished blocks: number the nuclei ► table ► tiles and tissue."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray

from sac_wsi.engine.blocks import FinalBlock, FoundBlock, TileStatus, total_size
from sac_wsi.geometry import Box
from sac_wsi.nuclei.columns import take_ragged
from sac_wsi.nuclei.table import NucleusRows
from sac_wsi.store.columns import PAGE_PX, TableWriter, compressor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sac_wsi.engine.journal import Journal
    from sac_wsi.tiling.grid import Grid
    from sac_wsi.tissue.find import TissueMask

_BLOCKS_IN_MEMORY = 4


@dataclass(frozen=True)
class _Numbered:
    """Some nuclei of one block: their positions in its ``FinalBlock``, and their ids."""

    rows: NDArray[np.int64]
    ids: NDArray[np.int64]


def write_table(journal: Journal, grid: Grid) -> int:
    """Write the nuclei of all finished blocks as columns, numbered and in page order; return their number."""
    size = total_size(journal, range(grid.block_count))
    writer = TableWriter(journal.publish_folder, size.nuclei, size.vertices, size.mask_bytes)
    page_rows, page_columns = _pages_yx(grid)
    rows_of_page = np.zeros(page_rows * page_columns + 1, np.int64)
    numbered = 0

    @lru_cache(maxsize=_BLOCKS_IN_MEMORY)
    def load(block: int) -> FinalBlock:
        return FinalBlock.load(journal, block)

    for page_row in range(page_rows):
        of_block = _number(journal, grid, page_row, numbered)
        numbered += sum(len(some.rows) for some in of_block.values())
        for page_column in range(page_columns):
            page = page_row * page_columns + page_column
            for rows in _page(grid, load, of_block, _page_box(page_row, page_column)):
                rows_of_page[page + 1] += len(rows)
                writer.append(rows)
    writer.close()
    group = zarr.open_group(journal.publish_folder, mode="a", path="nuclei")
    start = group.create_array("page_start", data=np.cumsum(rows_of_page), compressors=compressor())
    start.attrs.update({"page_px": PAGE_PX, "pages_yx": [page_rows, page_columns]})
    return numbered


def _pages_yx(grid: Grid) -> tuple[int, int]:
    return -(-grid.frame.height // PAGE_PX), -(-grid.frame.width // PAGE_PX)


def _page_box(page_row: int, page_column: int) -> Box:
    y0, x0 = page_row * PAGE_PX, page_column * PAGE_PX
    return Box(y0, x0, y0 + PAGE_PX, x0 + PAGE_PX)


def _number(journal: Journal, grid: Grid, page_row: int, before: int) -> dict[int, _Numbered]:
    """Give ids to the nuclei anchored in one row of pages, by block.

    An id is the rank by anchor in the whole slide; nuclei with equal anchors are ordered by their UUIDs.
    ``before`` is the number of nuclei in the rows of pages above.
    """
    band = Box(page_row * PAGE_PX, 0, (page_row + 1) * PAGE_PX, grid.frame.width)
    blocks, rows, anchors, uuids = [], [], [], []
    for block in grid.blocks_touching(band.dilate(grid.tolerance_px)):
        anchor_yx, uuid = FinalBlock.load_anchors(journal, block)
        y = anchor_yx[:, 0]
        inside = np.flatnonzero((y >= band.y0) & (y < band.y1))
        blocks.append(np.full(len(inside), block))
        rows.append(inside)
        anchors.append(anchor_yx[inside])
        uuids.append(uuid[inside].view(">u8"))
    if not rows:
        return {}
    block_of, row_of, anchor, name = (np.concatenate(part) for part in (blocks, rows, anchors, uuids))
    order = np.lexsort([name[:, 1], name[:, 0], anchor[:, 1], anchor[:, 0]])
    ids = np.empty(len(order), np.int64)
    ids[order] = before + 1 + np.arange(len(order))
    return {
        int(block): _Numbered(row_of[block_of == block], ids[block_of == block])
        for block in np.unique(block_of)
    }


def _page(
    grid: Grid, load: Callable[[int], FinalBlock], of_block: dict[int, _Numbered], page: Box
) -> Iterator[NucleusRows]:
    """Yield the nuclei anchored in one page, by id."""
    parts = []
    for block in grid.blocks_touching(page.dilate(grid.tolerance_px)):
        if block not in of_block:
            continue
        some = of_block[block]
        x = load(block).anchor_yx[some.rows, 1]
        inside = (x >= page.x0) & (x < page.x1)
        if inside.any():
            parts.append(_rows(load(block), some.rows[inside], some.ids[inside]))
    if parts:
        yield _by_id(parts)


def _rows(source: FinalBlock | NucleusRows, rows: NDArray[np.int64], ids: NDArray[np.int64]) -> NucleusRows:
    """Return the chosen rows under these ids."""
    values: dict[str, NDArray[Any]] = {"id": ids}
    for start, flat in (("polygon_start", "polygon_xy_centipx"), ("mask_start", "mask_bits")):
        values[start], values[flat] = take_ragged(getattr(source, start), getattr(source, flat), rows)
    for field in fields(NucleusRows):
        if field.name not in values:
            values[field.name] = getattr(source, field.name)[rows]
    return NucleusRows(**values)


def _by_id(parts: list[NucleusRows]) -> NucleusRows:
    """Return the rows of all parts together, in ascending order of their ids."""
    joined: dict[str, NDArray[Any]] = {}
    for field in fields(NucleusRows):
        columns = [getattr(part, field.name) for part in parts]
        if field.name.endswith("_start"):
            sizes = np.concatenate([np.diff(column) for column in columns])
            joined[field.name] = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        else:
            joined[field.name] = np.concatenate(columns)
    order = np.argsort(joined["id"])
    return _rows(NucleusRows(**joined), order, joined["id"][order])


def write_tiles_and_tissue(journal: Journal, grid: Grid, tissue: TissueMask) -> dict[str, int]:
    """Write the status of every tile and the tissue mask; return the number of tiles by status."""
    status = np.zeros(grid.tile_count, np.uint8)
    for block in range(grid.block_count):
        for tile, value in FoundBlock.load_tiles(journal, block).status.items():
            status[tile] = value
    group = zarr.open_group(journal.publish_folder, mode="a")
    group.create_array("tile_status", data=status.reshape(grid.tiles_yx), compressors=compressor())
    mask = group.create_array("tissue", data=tissue.mask.astype(np.uint8), compressors=compressor())
    mask.attrs["downsample"] = tissue.downsample
    count = Counter(status.tolist())
    return {
        "done": count[TileStatus.DONE],
        "failed": count[TileStatus.FAILED],
        "skipped": count[TileStatus.SKIPPED],
    }


def begin_publishing(journal: Journal) -> None:
    """Make an empty folder for the store; remove what an interrupted attempt left there."""
    journal.clear_publish_folder()
    zarr.create_group(journal.publish_folder)
