"""The work on one block, on any worker: read ► segment ► claim ► measure ► journal.

A strip is one row of a block's tiles. A thread reads the next strip while this one is segmented, so
memory holds two strips and the nuclei of a block, whatever the slide's size.
"""

from __future__ import annotations

import json
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sac_wsi.engine.journal import Journal
from sac_wsi.errors import InputChanged, ReadError
from sac_wsi.geometry import Box
from sac_wsi.nuclei.columns import Nuclei, concat
from sac_wsi.nuclei.stain import mean_stain
from sac_wsi.slide.frame import Frame, read_frame
from sac_wsi.slide.open import open_slide
from sac_wsi.tiling.grid import Block, Grid, Tile
from sac_wsi.tiling.segmenter import RgbTile, Segmenter
from sac_wsi.tiling.stitch import claim, overlaps_within, reaches_out, same_nucleus
from sac_wsi.tissue.find import TissueMask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from sac_wsi.slide.protocol import Slide

T = TypeVar("T")

SKIPPED, DONE, FAILED = 0, 1, 2
"""What becomes of a tile: no tissue, segmented, not readable."""

FOUND = "found"
"""The journal's step in which blocks lie after this work."""


@dataclass(frozen=True)
class BlockReport:
    """What a block tells of itself; small, as it travels."""

    nuclei: int
    seconds: dict[str, float]


def open_same(path: Path, mpp: float | None, fingerprint: str) -> Slide:
    """The slide, if it still is the one that the run began with: two slides are never mixed."""
    slide = open_slide(path, mpp=mpp)
    if slide.info.fingerprint != fingerprint:
        slide.close()
        raise InputChanged(f"{path} was replaced while it was segmented. Pass --overwrite to begin anew.")
    return slide


@dataclass(frozen=True)
class SegmentBlock:
    """The task: everything a worker needs to do any block of one slide."""

    slide: Path
    mpp: float | None
    fingerprint: str
    frame: Frame
    grid: Grid
    tissue: TissueMask
    segmenter: Segmenter
    batch_tiles: int
    journal: Journal

    def __call__(self, index: int) -> BlockReport:
        clock = Clock()
        block = self.grid.block(index)
        wanted = [[t for t in row if self._has_tissue(t)] for row in block.rows]
        status = {t.index: SKIPPED for t in block.tiles}
        failures: list[tuple[int, str]] = []
        parts: list[Nuclei] = []
        cut = 0
        with open_same(self.slide, self.mpp, self.fingerprint) as slide:
            strips = read_ahead(lambda row: self._read_strip(slide, row, clock), [r for r in wanted if r])
            for batch in _batches(strips, self.batch_tiles, failures):
                with clock.measure("segment"):
                    found = self.segmenter.segment([rgb for _, rgb in batch])
                with clock.measure("claim"):
                    for (tile, rgb), nuclei in zip(batch, found, strict=True):
                        owned, tile_cut = self._own(tile, rgb, nuclei)
                        parts.append(owned)
                        cut += tile_cut
                        status[tile.index] = DONE
        status.update((tile, FAILED) for tile, _ in failures)
        with clock.measure("claim"):
            arrays = self._arrays(block, concat(parts))
        arrays |= _record(status, failures, cut)
        # once more: what was read while the file was written over must not be kept
        open_same(self.slide, self.mpp, self.fingerprint).close()
        with clock.measure("journal"):
            self.journal.save(FOUND, index, arrays)
        return BlockReport(len(arrays["all/score"]), clock.seconds)

    def _has_tissue(self, tile: Tile) -> bool:
        reach = tile.core.dilate(self.grid.tolerance_px)
        return self.tissue.intersects(self.frame.to_level0(reach))

    def _read_strip(
        self, slide: Slide, tiles: Sequence[Tile], clock: Clock
    ) -> list[tuple[Tile, RgbTile | str]]:
        """The tiles' pixels, neighbours in one read; of a tile that cannot be read, the reason."""
        with clock.measure("read"):
            out: list[tuple[Tile, RgbTile | str]] = []
            for run in _adjacent(tiles):
                box = Box(run[0].read.y0, run[0].read.x0, run[-1].read.y1, run[-1].read.x1)
                try:
                    strip = read_frame(slide, self.frame, box)
                except ReadError:
                    out += [(tile, self._read_tile(slide, tile)) for tile in run]
                else:
                    out += [(tile, RgbTile(strip[tile.read.within(box)], tile.read)) for tile in run]
            return out

    def _read_tile(self, slide: Slide, tile: Tile) -> RgbTile | str:
        try:
            return RgbTile(read_frame(slide, self.frame, tile.read), tile.read)
        except ReadError as error:
            return str(error)

    def _own(self, tile: Tile, rgb: RgbTile, nuclei: Nuclei) -> tuple[Nuclei, int]:
        owned, cut = claim(nuclei, tile, self.grid.frame, self.grid.tolerance_px)
        owned = owned.take(self.tissue.covers(self.frame.points_to_level0(owned.anchor_yx)))
        return owned.replace(stain_od=mean_stain(rgb.rgb, rgb.read, owned)), cut

    def _arrays(self, block: Block, nuclei: Nuclei) -> dict[str, NDArray[Any]]:
        """What later steps read of this block, grouped so that each reads only what it needs."""
        overlaps = overlaps_within(nuclei)
        twins = same_nucleus(overlaps, nuclei.area_px, nuclei.area_px)
        out = reaches_out(nuclei, block.core, self.grid.halo_px, self.grid.frame)
        return {
            **grouped("all", nuclei),
            **grouped("out", nuclei.take(out)),
            "out_row": np.flatnonzero(out).astype(np.int32),
            "twins": twins.pair,
            "overlaps": overlaps.pair,
        }


def _record(
    status: Mapping[int, int], failures: Sequence[tuple[int, str]], cut: int
) -> dict[str, NDArray[Any]]:
    return {
        "tile_status": np.array(sorted(status.items()), np.int32).reshape(-1, 2),
        "failures": np.frombuffer(json.dumps(failures).encode(), np.uint8),
        "cut": np.array([cut], np.int64),
    }


def fail_block(journal: Journal, block: Block, reason: str) -> None:
    """Write down a block that could not be done: no nuclei, every tile failed for this reason."""
    failures = [(tile.index, reason) for tile in block.tiles]
    nothing = Nuclei.empty()
    journal.save(
        FOUND,
        block.index,
        {
            **grouped("all", nothing),
            **grouped("out", nothing),
            "out_row": np.zeros(0, np.int32),
            "twins": np.zeros((0, 2), np.int32),
            "overlaps": np.zeros((0, 2), np.int32),
            **_record({tile.index: FAILED for tile in block.tiles}, failures, 0),
        },
    )


@dataclass(frozen=True)
class Tally:
    """All blocks together."""

    nuclei: int
    cut: int
    failures: tuple[tuple[int, str], ...]


def tallies(journal: Journal, grid: Grid) -> Tally:
    nuclei = cut = 0
    failures: list[tuple[int, str]] = []
    for block in range(grid.block_count):
        arrays = journal.load(FOUND, block, ["all/score", "cut", "failures"])
        nuclei += len(arrays["all/score"])
        cut += int(arrays["cut"][0])
        failures += [(int(tile), str(reason)) for tile, reason in json.loads(arrays["failures"].tobytes())]
    return Tally(nuclei, cut, tuple(sorted(failures)))


def grouped(group: str, nuclei: Nuclei) -> dict[str, NDArray[Any]]:
    return {f"{group}/{name}": column for name, column in nuclei.columns().items()}


def load_group(journal: Journal, step: str, index: int, group: str) -> Nuclei:
    names = [f"{group}/{name}" for name in Nuclei.empty().columns()]
    arrays = journal.load(step, index, names)
    return Nuclei.from_columns({name.split("/")[1]: column for name, column in arrays.items()})


@dataclass
class Clock:
    """Seconds per stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, seconds: Mapping[str, float], share: float) -> None:
        """Another clock's seconds, of which only a share passed here."""
        for stage, value in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + share * value

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - begin


def _adjacent(tiles: Sequence[Tile]) -> list[list[Tile]]:
    """Runs of neighbouring tiles of one row."""
    runs: list[list[Tile]] = []
    for tile in tiles:
        if runs and runs[-1][-1].index + 1 == tile.index:
            runs[-1].append(tile)
        else:
            runs.append([tile])
    return runs


def _batches(
    strips: Iterable[list[tuple[Tile, RgbTile | str]]], size: int, failures: list[tuple[int, str]]
) -> Iterator[list[tuple[Tile, RgbTile]]]:
    """Readable tiles in batches; the reasons of the others go to ``failures``."""
    batch: list[tuple[Tile, RgbTile]] = []
    for strip in strips:
        for tile, pixels in strip:
            if isinstance(pixels, str):
                failures.append((tile.index, pixels))
                continue
            batch.append((tile, pixels))
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch


def read_ahead(read: Callable[[Any], T], items: Iterable[Any]) -> Iterator[T]:
    """``read(item)`` for each item, the next one being read in a thread while this one is used."""
    with ThreadPoolExecutor(1, "read") as pool:
        coming: deque[Future[T]] = deque()
        for item in items:
            coming.append(pool.submit(read, item))
            if len(coming) > 1:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
