"""A block's nuclei in their final shape: drop ► trim ► outline ► measure ► name ► journal."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sac_wsi.engine.journal import Journal
from sac_wsi.engine.seams import dropped_rows
from sac_wsi.engine.work import FOUND, Clock, load_group
from sac_wsi.nuclei.columns import Nuclei, concat
from sac_wsi.nuclei.identity import nucleus_uuids
from sac_wsi.nuclei.measure import measure
from sac_wsi.nuclei.polygons import outlines
from sac_wsi.tiling.grid import Grid
from sac_wsi.tiling.stitch import loser_winner, overlaps_between, precedence, trim

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FINAL = "final"
"""The journal's step in which blocks lie after this work."""


@dataclass(frozen=True)
class FinishBlock:
    """The task; needs neither slide nor model."""

    journal: Journal
    grid: Grid
    downsample: float
    mpp: float
    namespace: uuid.UUID

    def __call__(self, index: int) -> tuple[int, dict[str, float]]:
        clock = Clock()
        with clock.measure("finish"):
            nuclei = self._whole(index)
            start, xy = outlines(nuclei, self.downsample)
            rows: dict[str, NDArray[Any]] = {
                "uuid": nucleus_uuids(nuclei, self.namespace),
                "measurements": measure(start, xy, nuclei.stain_od, self.mpp),
                "polygon_start": start,
                "polygon_xy_centipx": xy,
                **{k: v for k, v in nuclei.columns().items() if k not in ("stain_od", "tile")},
            }
        with clock.measure("journal"):
            self.journal.save(FINAL, index, rows)
        return len(nuclei), clock.seconds

    def _whole(self, index: int) -> Nuclei:
        """The block's own nuclei, without those that are better elsewhere and without others' pixels."""
        dropped = dropped_rows(self.journal)
        nuclei = load_group(self.journal, FOUND, index, "all")
        keep = np.ones(len(nuclei), bool)
        keep[dropped(index)] = False
        pair = self.journal.load(FOUND, index, ["overlaps"])["overlaps"]
        pair = pair[keep[pair].all(axis=1)]
        beyond = self._neighbours_rims(index, dropped)
        across = overlaps_between(nuclei, beyond).pair
        across = across[keep[across[:, 0]]] + np.array([0, len(nuclei)], np.int32)
        both = concat([nuclei, beyond])
        losses = _losses(both, np.concatenate([pair, across]), len(nuclei))
        position = np.cumsum(keep) - 1
        losses[:, 0] = position[losses[:, 0]]
        return trim(nuclei.take(keep), both, losses)

    def _neighbours_rims(self, index: int, dropped: Callable[[int], NDArray[np.int32]]) -> Nuclei:
        parts = []
        for other in self.grid.neighbours(index):
            rows = self.journal.load(FOUND, other, ["out_row"])["out_row"]
            kept = ~np.isin(rows, dropped(other))
            parts.append(load_group(self.journal, FOUND, other, "out").take(kept))
        return concat(parts)


def _losses(both: Nuclei, pair: NDArray[np.int32], own: int) -> NDArray[np.int32]:
    """Pairs (loser, winner) for losers among the first ``own``; others' losses are their own block's work."""
    if not len(pair):
        return pair
    involved, local = np.unique(pair, return_inverse=True)
    rank = precedence(both.take(involved))
    local = local.reshape(-1, 2)
    ordered = involved[loser_winner(rank, local)].astype(np.int32)
    mine: NDArray[np.int32] = ordered[ordered[:, 0] < own]
    return mine
