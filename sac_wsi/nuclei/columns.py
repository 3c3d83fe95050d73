"""Nuclei as columns. A million of them are a few arrays, not a million objects."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WIDTH = {"anchor_yx": 2, "box": 4, "stain_od": 2}
_DTYPE: dict[str, type[np.generic]] = {
    "anchor_yx": np.int32,
    "box": np.int32,
    "area_px": np.int32,
    "score": np.float32,
    "tile": np.int32,
    "stain_od": np.float32,
    "mask_start": np.int64,
    "mask_bits": np.uint8,
}


@dataclass(frozen=True)
class Nuclei:
    """N nuclei in frame coordinates (pixels at the model's resolution, origin at the slide's corner).

    anchor_yx   (N, 2) centroid of the mask, rounded with integers only: a float mean rounds differently
                in two tiles, and a nucleus on a seam could vanish between them
    box         (N, 4) tight half-open box y0, x0, y1, x1 of the mask
    area_px     (N,)   pixels of the mask
    score       (N,)   confidence in 0..1
    tile        (N,)   index of the tile that claimed it, -1 before
    stain_od    (N, 2) mean haematoxylin and eosin optical density under the mask
    mask_start  (N+1,) first byte of each mask in ``mask_bits``
    mask_bits   bytes; each mask is its box, row by row, most significant bit first, padded to whole bytes
    """

    anchor_yx: NDArray[np.int32]
    box: NDArray[np.int32]
    area_px: NDArray[np.int32]
    score: NDArray[np.float32]
    tile: NDArray[np.int32]
    stain_od: NDArray[np.float32]
    mask_start: NDArray[np.int64]
    mask_bits: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.box)

    @classmethod
    def empty(cls) -> Nuclei:
        """Return no nuclei."""
        columns = {
            name: np.zeros((0, _WIDTH[name]) if name in _WIDTH else 0, dtype)
            for name, dtype in _DTYPE.items()
        }
        columns["mask_start"] = np.zeros(1, np.int64)
        return cls(**columns)

    @classmethod
    def from_columns(cls, columns: Mapping[str, NDArray[np.generic]]) -> Nuclei:
        """Make nuclei from named columns."""
        return cls(**{f.name: np.asarray(columns[f.name], _DTYPE[f.name]) for f in fields(cls)})

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Return all columns by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def take(self, index: NDArray[np.generic]) -> Nuclei:
        """Select nuclei in the given order; ``index`` holds positions or is a boolean mask."""
        rows = np.flatnonzero(index) if index.dtype == bool else np.asarray(index, np.int64)
        start, bits = take_ragged(self.mask_start, self.mask_bits, rows)
        plain = {
            name: column[rows]
            for name, column in self.columns().items()
            if name not in ("mask_start", "mask_bits")
        }
        return Nuclei.from_columns({**plain, "mask_start": start, "mask_bits": bits})

    def replace(self, **columns: NDArray[np.generic]) -> Nuclei:
        """Return the same nuclei with some columns replaced."""
        return Nuclei.from_columns({**self.columns(), **columns})

    def mask(self, i: int) -> NDArray[np.bool_]:
        """Return one mask as a boolean array with the shape of its box."""
        y0, x0, y1, x1 = (int(v) for v in self.box[i])
        packed = self.mask_bits[self.mask_start[i] : self.mask_start[i + 1]]
        count = (y1 - y0) * (x1 - x0)
        return np.unpackbits(packed, count=count).reshape(y1 - y0, x1 - x0).astype(bool)


def concat(parts: Sequence[Nuclei]) -> Nuclei:
    """Return all nuclei of the parts, in their order."""
    if not parts:
        return Nuclei.empty()
    names = [n for n in _DTYPE if n != "mask_start"]
    columns: dict[str, NDArray[np.generic]] = {
        n: np.concatenate([getattr(p, n) for p in parts]) for n in names
    }
    sizes = np.concatenate([np.diff(p.mask_start) for p in parts])
    columns["mask_start"] = np.concatenate([[0], np.cumsum(sizes)])
    return Nuclei.from_columns(columns)


def take_ragged(
    start: NDArray[np.int64], flat: NDArray[np.generic], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.generic]]:
    """Select rows of a ragged column (``flat[start[i]:start[i + 1]]`` is row i)."""
    sizes = start[rows + 1] - start[rows]
    new_start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    source = np.repeat(start[rows] - new_start[:-1], sizes) + np.arange(new_start[-1])
    return new_start, flat[source]
