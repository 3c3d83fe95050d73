"""What each step leaves in the journal for later steps: frozen records that know their names on disk.

    FoundBlock    after ``segment``: the nuclei of a block as its tiles claimed them
    DroppedRows   after ``seams``: the nuclei that another tile shows better, for all blocks in one file
    FinalBlock    after ``finish``: the nuclei of a block in their final shape, as the store holds them

Later steps load only the part that they need: the rim of a block is much smaller than the block.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sac_wsi.nuclei.columns import Nuclei

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sac_wsi.engine.journal import Journal
    from sac_wsi.tiling.grid import Block

FOUND, SEAMS, FINAL = "found", "seams", "final"
"""The journal's names of the steps."""

_ALL, _RIM = "all", "out"
"""Prefixes of the columns of ``FoundBlock.nuclei`` and of ``FoundBlock.rim``."""


class TileStatus(IntEnum):
    """How the work on a tile ended."""

    SKIPPED = 0
    """It holds no tissue."""
    DONE = 1
    FAILED = 2
    """It could not be read, or its block could not be segmented."""


@dataclass(frozen=True)
class TileFailure:
    """A tile that failed, and why."""

    tile: int
    reason: str


@dataclass(frozen=True)
class TileOutcomes:
    """How the work on the tiles of a block ended.

    Attributes:
        status: ``TileStatus`` of each tile, by the tile's index.
        failures: The tiles that failed.
        pixels_crc: CRC-32 of the pixels of each tile that was segmented, by the tile's index.
        cut: Number of nuclei that were dropped because the halo's edge cut them.
    """

    status: Mapping[int, TileStatus]
    failures: tuple[TileFailure, ...] = ()
    cut: int = 0
    pixels_crc: Mapping[int, int] = field(default_factory=dict)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of the journal."""
        failures = [(failure.tile, failure.reason) for failure in self.failures]
        return {
            "tile_status": np.array(sorted(self.status.items()), np.int32).reshape(-1, 2),
            "failures": np.frombuffer(json.dumps(failures).encode(), np.uint8),
            "cut": np.array([self.cut], np.int64),
            "pixels_crc": np.array(sorted(self.pixels_crc.items()), np.int64).reshape(-1, 2),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> TileOutcomes:
        """Return the outcomes that the arrays of the journal hold."""
        status = {tile: TileStatus(value) for tile, value in arrays["tile_status"].tolist()}
        failures = json.loads(arrays["failures"].tobytes())
        return cls(
            status,
            tuple(TileFailure(int(tile), str(reason)) for tile, reason in failures),
            int(arrays["cut"][0]),
            dict(arrays["pixels_crc"].tolist()),
        )


@dataclass(frozen=True)
class Rim:
    """The nuclei of a block that those of another block could overlap.

    Attributes:
        rows: (R,) positions in the block's nuclei.
        nuclei: The R nuclei themselves.
    """

    rows: NDArray[np.int32]
    nuclei: Nuclei


@dataclass(frozen=True)
class FoundBlock:
    """The nuclei of a block as its tiles claimed them, before the seams are settled.

    Attributes:
        nuclei: All N nuclei; later steps name a nucleus by its position here, its row.
        rim: Those near the block's border.
        twins: (T, 2) pairs of rows: one nucleus, seen twice.
        overlaps: (P, 2) pairs of rows whose masks share pixels; they contain the twins.
        tiles: How the work on the block's tiles ended.
    """

    nuclei: Nuclei
    rim: Rim
    twins: NDArray[np.int32]
    overlaps: NDArray[np.int32]
    tiles: TileOutcomes

    @classmethod
    def failed(cls, block: Block, reason: str) -> FoundBlock:
        """Return the record of a block that could not be segmented: no nuclei, every tile failed."""
        nothing, no_pairs = Nuclei.empty(), np.zeros((0, 2), np.int32)
        outcomes = TileOutcomes(
            {tile.index: TileStatus.FAILED for tile in block.tiles},
            tuple(TileFailure(tile.index, reason) for tile in block.tiles),
        )
        return cls(nothing, Rim(np.zeros(0, np.int32), nothing), no_pairs, no_pairs, outcomes)

    def save(self, journal: Journal, block: int) -> None:
        """Write the record of block number ``block``."""
        arrays = {
            **_with_prefix(_ALL, self.nuclei),
            **_with_prefix(_RIM, self.rim.nuclei),
            "out_row": self.rim.rows,
            "twins": self.twins,
            "overlaps": self.overlaps,
            **self.tiles.to_arrays(),
        }
        journal.save(FOUND, block, arrays)

    @classmethod
    def load(cls, journal: Journal, block: int) -> FoundBlock:
        """Read the whole record."""
        return cls(
            cls.load_nuclei(journal, block),
            cls.load_rim(journal, block),
            cls.load_twins(journal, block),
            cls.load_overlaps(journal, block),
            cls.load_tiles(journal, block),
        )

    @staticmethod
    def load_nuclei(journal: Journal, block: int) -> Nuclei:
        """Read the nuclei only."""
        return _without_prefix(_ALL, journal.load(FOUND, block, _names(_ALL)))

    @staticmethod
    def load_rim(journal: Journal, block: int) -> Rim:
        """Read the rim only."""
        arrays = journal.load(FOUND, block, ["out_row", *_names(_RIM)])
        return Rim(arrays["out_row"], _without_prefix(_RIM, arrays))

    @staticmethod
    def load_twins(journal: Journal, block: int) -> NDArray[np.int32]:
        """Read the (T, 2) pairs that are one nucleus."""
        return journal.load(FOUND, block, ["twins"])["twins"]

    @staticmethod
    def load_overlaps(journal: Journal, block: int) -> NDArray[np.int32]:
        """Read the (P, 2) pairs that share pixels."""
        return journal.load(FOUND, block, ["overlaps"])["overlaps"]

    @staticmethod
    def load_tiles(journal: Journal, block: int) -> TileOutcomes:
        """Read only how the work on the tiles ended."""
        return TileOutcomes.from_arrays(
            journal.load(FOUND, block, ["tile_status", "failures", "cut", "pixels_crc"])
        )

    @staticmethod
    def load_count(journal: Journal, block: int) -> int:
        """Return the number of nuclei; reads one small column."""
        name = f"{_ALL}/score"
        return len(journal.load(FOUND, block, [name])[name])


def _names(prefix: str) -> list[str]:
    return [f"{prefix}/{each.name}" for each in fields(Nuclei)]


def _with_prefix(prefix: str, nuclei: Nuclei) -> dict[str, NDArray[Any]]:
    return {f"{prefix}/{name}": column for name, column in nuclei.columns().items()}


def _without_prefix(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Nuclei:
    names = [each.name for each in fields(Nuclei)]
    return Nuclei.from_columns({name: arrays[f"{prefix}/{name}"] for name in names})


@dataclass(frozen=True)
class DroppedRows:
    """The nuclei to drop because another tile shows them better, for all blocks.

    Attributes:
        start: (blocks + 1,) where each block's part of ``row`` begins.
        row: (D,) positions in the blocks' ``FoundBlock.nuclei``.
    """

    start: NDArray[np.int64]
    row: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def from_keys(cls, keys: NDArray[np.int64], block_count: int) -> DroppedRows:
        """Return the record of (D, 2) pairs (block, row) in ascending order."""
        start = np.searchsorted(keys[:, 0], np.arange(block_count + 1))
        return cls(start, keys[:, 1].astype(np.int32))

    def of(self, block: int) -> NDArray[np.int32]:
        """Return the rows to drop of one block."""
        return self.row[self.start[block] : self.start[block + 1]]

    def save(self, journal: Journal) -> None:
        """Write the record."""
        journal.save(SEAMS, 0, {"start": self.start, "row": self.row})

    @classmethod
    def load(cls, journal: Journal) -> DroppedRows:
        """Read the record."""
        return cls(**journal.load(SEAMS, 0))


@dataclass(frozen=True)
class FinalBlock:
    """The N nuclei of a block in their final shape: the columns of ``NucleusRows`` without the ids.

    Ids are ranks over the whole slide, so they are known only when every block is finished.
    """

    uuid: NDArray[np.uint8]
    measurements: NDArray[np.float32]
    polygon_start: NDArray[np.int64]
    polygon_xy_centipx: NDArray[np.int32]
    anchor_yx: NDArray[np.int32]
    box: NDArray[np.int32]
    area_px: NDArray[np.int32]
    score: NDArray[np.float32]
    mask_start: NDArray[np.int64]
    mask_bits: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.score)

    def save(self, journal: Journal, block: int) -> None:
        """Write the record of block number ``block``."""
        journal.save(FINAL, block, {each.name: getattr(self, each.name) for each in fields(self)})

    @classmethod
    def load(cls, journal: Journal, block: int) -> FinalBlock:
        """Read the whole record."""
        return cls(**journal.load(FINAL, block))

    @staticmethod
    def load_anchors(journal: Journal, block: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Read (N, 2) anchors y, x and (N, 16) bytes of the UUIDs."""
        arrays = journal.load(FINAL, block, ["anchor_yx", "uuid"])
        return arrays["anchor_yx"], arrays["uuid"]


@dataclass(frozen=True)
class TableSize:
    """How much a table of nuclei will hold."""

    nuclei: int
    vertices: int
    mask_bytes: int


def total_size(journal: Journal, blocks: Iterable[int]) -> TableSize:
    """Return the size of all the final blocks together; reads three small columns of each."""
    nuclei = vertices = mask_bytes = 0
    for block in blocks:
        arrays = journal.load(FINAL, block, ["score", "polygon_start", "mask_start"])
        nuclei += len(arrays["score"])
        vertices += int(arrays["polygon_start"][-1])
        mask_bytes += int(arrays["mask_start"][-1])
    return TableSize(nuclei, vertices, mask_bytes)
