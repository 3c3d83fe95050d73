"""Segment one block, on any worker: read ► segment ► claim ► measure the stain ► journal.

A thread reads the next row of tiles while this one is segmented, so memory holds two rows of tiles and
the nuclei of a block, however large the slide is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sac_wsi.engine.blocks import FoundBlock, Rim, TileFailure, TileOutcomes, TileStatus
from sac_wsi.engine.clock import Clock
from sac_wsi.engine.journal import Journal
from sac_wsi.engine.read import SlideSource, TilePixels, batches, read_rows
from sac_wsi.nuclei.columns import Nuclei, concat
from sac_wsi.nuclei.stain import mean_stain
from sac_wsi.slide.frame import Frame
from sac_wsi.tiling.grid import Block, Grid, Tile
from sac_wsi.tiling.segmenter import Segmenter
from sac_wsi.tiling.stitch import claim, near_block_border, overlaps_within, same_nucleus
from sac_wsi.tissue.find import TissueMask


@dataclass(frozen=True)
class BlockReport:
    """What the task returns; small, because it travels from the worker to the scheduler."""

    nuclei: int
    seconds: dict[str, float]


@dataclass(frozen=True)
class SegmentBlock:
    """The task: everything that a worker needs to segment any block of one slide."""

    source: SlideSource
    frame: Frame
    grid: Grid
    tissue: TissueMask
    segmenter: Segmenter
    batch_tiles: int
    journal: Journal

    def __call__(self, index: int) -> BlockReport:
        """Segment block number ``index`` and write it to the journal."""
        clock = Clock()
        found = self._find(self.grid.block(index), clock)
        # check again: pixels that were read while another slide was copied over this one must not be kept
        self.source.check()
        with clock.measure("journal"):
            found.save(self.journal, index)
        return BlockReport(len(found.nuclei), clock.seconds)

    def _find(self, block: Block, clock: Clock) -> FoundBlock:
        rows = [[tile for tile in row if self._has_tissue(tile)] for row in block.rows]
        status = {tile.index: TileStatus.SKIPPED for tile in block.tiles}
        failures: list[TileFailure] = []
        parts: list[Nuclei] = []
        pixels_crc: dict[int, int] = {}
        cut = 0
        with self.source.open() as slide:
            tiles = read_rows(slide, self.frame, [row for row in rows if row], clock)
            for batch in batches(tiles, self.batch_tiles, failures):
                with clock.measure("segment"):
                    found = self.segmenter.segment([pixels.rgb for pixels in batch])
                with clock.measure("claim"):
                    for pixels, nuclei in zip(batch, found, strict=True):
                        owned, tile_cut = self._own(pixels, nuclei)
                        parts.append(owned)
                        cut += tile_cut
                        status[pixels.tile.index] = TileStatus.DONE
                        pixels_crc[pixels.tile.index] = pixels.crc
        status.update((failure.tile, TileStatus.FAILED) for failure in failures)
        with clock.measure("claim"):
            return self._found(block, concat(parts), TileOutcomes(status, tuple(failures), cut, pixels_crc))

    def _has_tissue(self, tile: Tile) -> bool:
        reach = tile.core.dilate(self.grid.tolerance_px)
        return self.tissue.intersects(self.frame.to_level0(reach))

    def _own(self, pixels: TilePixels, nuclei: Nuclei) -> tuple[Nuclei, int]:
        """Return the nuclei that the tile keeps, with their stain, and how many the halo's edge cut."""
        owned, cut = claim(nuclei, pixels.tile, self.grid.frame, self.grid.tolerance_px)
        owned = owned.take(self.tissue.covers(self.frame.points_to_level0(owned.anchor_yx)))
        rgb = pixels.rgb
        return owned.replace(stain_od=mean_stain(rgb.rgb, rgb.read, owned)), cut

    def _found(self, block: Block, nuclei: Nuclei, tiles: TileOutcomes) -> FoundBlock:
        overlaps = overlaps_within(nuclei)
        twins = same_nucleus(overlaps, nuclei.area_px, nuclei.area_px)
        near_border = near_block_border(nuclei, block.core, self.grid.halo_px, self.grid.frame)
        rim = Rim(np.flatnonzero(near_border).astype(np.int32), nuclei.take(near_border))
        return FoundBlock(nuclei, rim, twins.pair, overlaps.pair, tiles)
