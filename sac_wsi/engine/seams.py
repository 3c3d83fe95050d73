"""Settle the seams: find the nuclei that two tiles claimed, and decide once for the whole slide which stay.

Of each block only its rim is read, and the nuclei that its own tiles claimed twice. So memory holds the
rims of a few blocks and about 150 bytes for each nucleus in doubt (one or two in a hundred).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sac_wsi.engine.blocks import DroppedRows, FoundBlock, Rim
from sac_wsi.nuclei.columns import Nuclei, concat
from sac_wsi.tiling.stitch import decide, overlaps_between, precedence, same_nucleus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sac_wsi.engine.journal import Journal
    from sac_wsi.tiling.grid import Grid

_RIMS_IN_MEMORY = 12


def settle_seams(journal: Journal, grid: Grid) -> int:
    """Write the rows to drop of every block to the journal; return their number."""
    keys, conflicts, nuclei = _conflicts(journal, grid)
    keep = decide(precedence(nuclei), conflicts)
    dropped = DroppedRows.from_keys(keys[~keep], grid.block_count)
    dropped.save(journal)
    return len(dropped)


def _conflicts(journal: Journal, grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.int32], Nuclei]:
    """Return the D nuclei in doubt.

    Returns:
        (D, 2) pairs (block, row) in ascending order; (C, 2) conflicts, as positions in these; the D nuclei.
    """
    ends: list[NDArray[np.int64]] = []
    parts: list[Nuclei] = []

    @lru_cache(maxsize=_RIMS_IN_MEMORY)
    def rim_of(block: int) -> Rim:
        return FoundBlock.load_rim(journal, block)

    def add(block_a: int, block_b: int, rows_a: NDArray[np.int32], rows_b: NDArray[np.int32]) -> None:
        side_a = np.column_stack([np.full(len(rows_a), block_a), rows_a])
        side_b = np.column_stack([np.full(len(rows_b), block_b), rows_b])
        ends.append(np.stack([side_a, side_b], axis=1).astype(np.int64))

    for block in range(grid.block_count):
        twins = FoundBlock.load_twins(journal, block)
        if len(twins):
            nuclei = FoundBlock.load_nuclei(journal, block)
            add(block, block, twins[:, 0], twins[:, 1])
            parts.append(nuclei.take(twins.ravel()))
        rim = rim_of(block)
        for other_block in grid.neighbours(block):
            if other_block < block:
                continue
            other = rim_of(other_block)
            shared = overlaps_between(rim.nuclei, other.nuclei)
            pair = same_nucleus(shared, rim.nuclei.area_px, other.nuclei.area_px).pair
            if len(pair):
                add(block, other_block, rim.rows[pair[:, 0]], other.rows[pair[:, 1]])
                both = concat([rim.nuclei, other.nuclei])
                parts.append(both.take((pair + np.array([0, len(rim.nuclei)])).ravel()))
    if not ends:
        return np.zeros((0, 2), np.int64), np.zeros((0, 2), np.int32), Nuclei.empty()
    flat = np.concatenate(ends).reshape(-1, 2)
    keys, first, position = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    return keys, position.reshape(-1, 2).astype(np.int32), concat(parts).take(first)
