"""From finished blocks to a published store: number ► table ► labels ► rename."""

from __future__ import annotations

import shutil
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray

from sac_wsi.engine.finish import FINAL
from sac_wsi.engine.work import FOUND
from sac_wsi.geometry import Box
from sac_wsi.nuclei.columns import take_ragged
from sac_wsi.nuclei.table import NucleusRows
from sac_wsi.store.columns import PAGE_PX, TableWriter, compressor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sac_wsi.engine.journal import Journal
    from sac_wsi.tiling.grid import Grid
    from sac_wsi.tissue.find import TissueMask

_BLOCKS_AT_HAND = 4
_Keys = dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]


def write_table(journal: Journal, grid: Grid) -> int:
    """All finished blocks' nuclei as columns, numbered and in page order; returns their number."""
    totals = np.zeros(3, np.int64)
    for block in range(grid.block_count):
        arrays = journal.load(FINAL, block, ["score", "polygon_start", "mask_start"])
        totals += len(arrays["score"]), arrays["polygon_start"][-1], arrays["mask_start"][-1]
    writer = TableWriter(journal.publish_folder, *(int(v) for v in totals))
    pages_yx = _pages_yx(grid)
    page_rows = np.zeros(pages_yx[0] * pages_yx[1] + 1, np.int64)
    numbered = 0

    @lru_cache(maxsize=_BLOCKS_AT_HAND)
    def load(block: int) -> dict[str, NDArray[Any]]:
        return journal.load(FINAL, block)

    for page_row in range(pages_yx[0]):
        ids = _number(journal, grid, page_row, numbered)
        numbered += sum(len(rows) for rows, _ in ids.values())
        for page_col in range(pages_yx[1]):
            page = page_row * pages_yx[1] + page_col
            for rows in _page(grid, load, ids, page_col, page_row):
                page_rows[page + 1] += len(rows)
                writer.append(rows)
    writer.close()
    group = zarr.open_group(journal.publish_folder, mode="a", path="nuclei")
    start = group.create_array("page_start", data=np.cumsum(page_rows), compressors=compressor())
    start.attrs.update({"page_px": PAGE_PX, "pages_yx": list(pages_yx)})
    return numbered


def _pages_yx(grid: Grid) -> tuple[int, int]:
    return -(-grid.frame.height // PAGE_PX), -(-grid.frame.width // PAGE_PX)


def _number(journal: Journal, grid: Grid, page_row: int, before: int) -> _Keys:
    """``{block: (rows, ids)}`` for the nuclei anchored in one row of pages.

    An id is the rank by anchor in the whole slide; UUIDs part equal anchors.
    """
    band = Box(page_row * PAGE_PX, 0, (page_row + 1) * PAGE_PX, grid.frame.width)
    blocks, rows, keys, names = [], [], [], []
    for block in grid.blocks_touching(band.dilate(grid.tolerance_px)):
        arrays = journal.load(FINAL, block, ["anchor_yx", "uuid"])
        y = arrays["anchor_yx"][:, 0]
        inside = np.flatnonzero((y >= band.y0) & (y < band.y1))
        blocks.append(np.full(len(inside), block))
        rows.append(inside)
        keys.append(arrays["anchor_yx"][inside])
        names.append(arrays["uuid"][inside].view(">u8"))
    if not rows:
        return {}
    block_of, row_of, anchor, name = (np.concatenate(part) for part in (blocks, rows, keys, names))
    order = np.lexsort([name[:, 1], name[:, 0], anchor[:, 1], anchor[:, 0]])
    ids = np.empty(len(order), np.int64)
    ids[order] = before + 1 + np.arange(len(order))
    return {int(b): (row_of[block_of == b], ids[block_of == b]) for b in np.unique(block_of)}


def _page(
    grid: Grid, load: Callable[[int], dict[str, NDArray[Any]]], ids: _Keys, page_col: int, page_row: int
) -> Iterator[NucleusRows]:
    """The nuclei anchored in one page, by id, in parts of one block's worth."""
    y0, x0 = page_row * PAGE_PX, page_col * PAGE_PX
    page = Box(y0, x0, y0 + PAGE_PX, x0 + PAGE_PX)
    parts = []
    for block in grid.blocks_touching(page.dilate(grid.tolerance_px)):
        if block not in ids:
            continue
        rows, numbers = ids[block]
        x = load(block)["anchor_yx"][rows, 1]
        inside = (x >= page.x0) & (x < page.x1)
        if inside.any():
            parts.append(_rows(load(block), rows[inside], numbers[inside]))
    if parts:
        yield _by_id(parts)


def _rows(arrays: Mapping[str, NDArray[Any]], rows: NDArray[np.int64], ids: NDArray[np.int64]) -> NucleusRows:
    values: dict[str, NDArray[Any]] = {"id": ids}
    for start, flat in (("polygon_start", "polygon_xy_centipx"), ("mask_start", "mask_bits")):
        values[start], values[flat] = take_ragged(arrays[start], arrays[flat], rows)
    for field in fields(NucleusRows):
        if field.name not in values:
            values[field.name] = arrays[field.name][rows]
    return NucleusRows(**values)


def _by_id(parts: list[NucleusRows]) -> NucleusRows:
    joined: dict[str, NDArray[Any]] = {}
    for field in fields(NucleusRows):
        columns = [getattr(part, field.name) for part in parts]
        if field.name.endswith("_start"):
            sizes = np.concatenate([np.diff(column) for column in columns])
            joined[field.name] = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        else:
            joined[field.name] = np.concatenate(columns)
    order = np.argsort(joined["id"])
    return _rows(joined, order, joined["id"][order])


def write_tiles_and_tissue(journal: Journal, grid: Grid, tissue: TissueMask) -> dict[str, int]:
    """The record of every tile, and the mask that decided which were looked at; counts by outcome."""
    status = np.zeros(grid.tile_count, np.uint8)
    for block in range(grid.block_count):
        tiles = journal.load(FOUND, block, ["tile_status"])["tile_status"]
        status[tiles[:, 0]] = tiles[:, 1]
    group = zarr.open_group(journal.publish_folder, mode="a")
    group.create_array("tile_status", data=status.reshape(grid.tiles_yx), compressors=compressor())
    mask = group.create_array("tissue", data=tissue.mask.astype(np.uint8), compressors=compressor())
    mask.attrs["downsample"] = tissue.downsample
    skipped, done, failed = np.bincount(status, minlength=3).tolist()
    return {"done": done, "failed": failed, "skipped": skipped}


def begin_publishing(journal: Journal) -> None:
    """An empty folder for the store; what an interrupted attempt left there goes."""
    shutil.rmtree(journal.publish_folder, ignore_errors=True)
    zarr.create_group(journal.publish_folder)
