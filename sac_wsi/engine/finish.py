"""Bring the nuclei of a block into their final shape: drop ► trim ► outline ► measure ► name ► journal."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sac_wsi.engine.blocks import DroppedRows, FinalBlock, FoundBlock
from sac_wsi.engine.clock import Clock
from sac_wsi.engine.journal import Journal
from sac_wsi.nuclei.columns import Nuclei, concat
from sac_wsi.nuclei.identity import nucleus_uuids
from sac_wsi.nuclei.measure import measure
from sac_wsi.nuclei.polygons import outlines
from sac_wsi.tiling.grid import Grid
from sac_wsi.tiling.stitch import loser_winner, overlaps_between, precedence, trim

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class FinishBlock:
    """The task; it needs neither the slide nor a model.

    Attributes:
        journal: Holds the found blocks and the dropped rows.
        grid: That of the slide.
        downsample: Level-0 pixels per frame pixel.
        slide_mpp: Micrometres per level-0 pixel, by which the nuclei are measured.
        namespace: From which the UUIDs are derived.
    """

    journal: Journal
    grid: Grid
    downsample: float
    slide_mpp: float
    namespace: uuid.UUID

    def __call__(self, index: int) -> dict[str, float]:
        """Finish block number ``index`` and write it to the journal; return the seconds per stage."""
        clock = Clock()
        with clock.measure("finish"):
            final = self._final(self._trimmed(index))
        with clock.measure("journal"):
            final.save(self.journal, index)
        return clock.seconds

    def _final(self, nuclei: Nuclei) -> FinalBlock:
        start, xy = outlines(nuclei, self.downsample)
        return FinalBlock(
            uuid=nucleus_uuids(nuclei, self.namespace),
            measurements=measure(start, xy, nuclei.stain_od, self.slide_mpp),
            polygon_start=start,
            polygon_xy_centipx=xy,
            anchor_yx=nuclei.anchor_yx,
            box=nuclei.box,
            area_px=nuclei.area_px,
            score=nuclei.score,
            mask_start=nuclei.mask_start,
            mask_bits=nuclei.mask_bits,
        )

    def _trimmed(self, index: int) -> Nuclei:
        """Return the nuclei that stay of the block, without the pixels that belong to better ones."""
        dropped = DroppedRows.load(self.journal)
        nuclei = FoundBlock.load_nuclei(self.journal, index)
        keep = np.ones(len(nuclei), bool)
        keep[dropped.of(index)] = False
        pair = FoundBlock.load_overlaps(self.journal, index)
        pair = pair[keep[pair].all(axis=1)]
        beyond = self._neighbours_rims(index, dropped)
        across = overlaps_between(nuclei, beyond).pair
        across = across[keep[across[:, 0]]] + np.array([0, len(nuclei)], np.int32)
        both = concat([nuclei, beyond])
        losses = _losses(both, np.concatenate([pair, across]), len(nuclei))
        position = np.cumsum(keep) - 1
        losses[:, 0] = position[losses[:, 0]]
        return trim(nuclei.take(keep), both, losses)

    def _neighbours_rims(self, index: int, dropped: DroppedRows) -> Nuclei:
        """Return the nuclei that stay in the rims of the neighbouring blocks."""
        parts = []
        for other in self.grid.neighbours(index):
            rim = FoundBlock.load_rim(self.journal, other)
            parts.append(rim.nuclei.take(~np.isin(rim.rows, dropped.of(other))))
        return concat(parts)


def _losses(both: Nuclei, pair: NDArray[np.int32], own: int) -> NDArray[np.int32]:
    """Return the pairs (loser, winner) whose loser is one of the first ``own`` nuclei.

    The other losers are trimmed by the tasks of their own blocks.
    """
    if not len(pair):
        return pair
    involved, local = np.unique(pair, return_inverse=True)
    rank = precedence(both.take(involved))
    local = local.reshape(-1, 2)
    ordered = involved[loser_winner(rank, local)].astype(np.int32)
    mine: NDArray[np.int32] = ordered[ordered[:, 0] < own]
    return mine
