"""The seams between blocks: which nuclei were claimed twice, decided once for the whole slide.

Reads of each block only what a neighbour could overlap, and what it claimed twice itself: memory is that
of a few blocks' rims plus about 150 bytes for each nucleus in doubt (one or two in a hundred).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sac_wsi.engine.work import FOUND, load_group
from sac_wsi.nuclei.columns import Nuclei, concat
from sac_wsi.tiling.stitch import decide, overlaps_between, precedence, same_nucleus

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sac_wsi.engine.journal import Journal
    from sac_wsi.tiling.grid import Grid

SEAMS = "seams"
"""The journal's step that holds the rows to drop, for all blocks in one file."""

_RIMS_AT_HAND = 12


def settle_seams(journal: Journal, grid: Grid) -> int:
    """Write down which rows of which block are seen better elsewhere; returns how many."""
    keys, conflicts, nodes = _conflicts(journal, grid)
    keep = decide(precedence(nodes), conflicts)
    dropped = keys[~keep]
    start = np.searchsorted(dropped[:, 0], np.arange(grid.block_count + 1))
    journal.save(SEAMS, 0, {"start": start, "row": dropped[:, 1].astype(np.int32)})
    return len(dropped)


def dropped_rows(journal: Journal) -> Callable[[int], NDArray[np.int32]]:
    """The rows to drop, by block."""
    arrays = journal.load(SEAMS, 0)
    start, row = arrays["start"], arrays["row"]
    return lambda block: row[start[block] : start[block + 1]]


def _conflicts(journal: Journal, grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.int32], Nuclei]:
    """Nuclei in doubt: sorted ``(block, row)`` keys, conflicting pairs of their positions, themselves."""
    ends: list[NDArray[np.int64]] = []
    parts: list[Nuclei] = []

    @lru_cache(maxsize=_RIMS_AT_HAND)
    def rim(block: int) -> tuple[NDArray[np.int32], Nuclei]:
        return journal.load(FOUND, block, ["out_row"])["out_row"], load_group(journal, FOUND, block, "out")

    def add(block_a: int, block_b: int, rows_a: NDArray[np.int32], rows_b: NDArray[np.int32]) -> None:
        side_a = np.column_stack([np.full(len(rows_a), block_a), rows_a])
        side_b = np.column_stack([np.full(len(rows_b), block_b), rows_b])
        ends.append(np.stack([side_a, side_b], axis=1).astype(np.int64))

    for block in range(grid.block_count):
        twins = journal.load(FOUND, block, ["twins"])["twins"]
        if len(twins):
            nuclei = load_group(journal, FOUND, block, "all")
            add(block, block, twins[:, 0], twins[:, 1])
            parts.append(nuclei.take(twins.ravel()))
        rows, mine = rim(block)
        for other in grid.neighbours(block):
            if other < block:
                continue
            other_rows, theirs = rim(other)
            shared = overlaps_between(mine, theirs)
            pair = same_nucleus(shared, mine.area_px, theirs.area_px).pair
            if len(pair):
                add(block, other, rows[pair[:, 0]], other_rows[pair[:, 1]])
                both = concat([mine, theirs])
                parts.append(both.take((pair + np.array([0, len(mine)])).ravel()))
    if not ends:
        return np.zeros((0, 2), np.int64), np.zeros((0, 2), np.int32), Nuclei.empty()
    flat = np.concatenate(ends).reshape(-1, 2)
    keys, first, position = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    return keys, position.reshape(-1, 2).astype(np.int32), concat(parts).take(first)
