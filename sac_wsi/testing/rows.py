"""Rows of a table without a slide: ellipses on a regular grid that do not overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sac_wsi.nuclei.table import CENTIPIXEL, MEASUREMENTS, NucleusRows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PITCH_PX = 40
COLUMNS = 1000
MPP = 0.25


def lattice_rows(first: int, stop: int, *, vertices: int = 40) -> NucleusRows:
    """Return nuclei ``first`` to ``stop - 1`` (from 0) of a grid with COLUMNS nuclei per row."""
    index = np.arange(first, stop)
    centre_yx = np.stack(np.divmod(index, COLUMNS), axis=1) * PITCH_PX + PITCH_PX // 2
    rng = np.random.default_rng(first)
    radius_px = rng.uniform(6, 14, (len(index), 2))
    ring_px = _ring(radius_px, vertices) + centre_yx[:, None, ::-1]
    box = np.concatenate([centre_yx - 5, centre_yx + 5], axis=1)
    mask_bytes = -(-100 // 8)
    return NucleusRows(
        id=index + 1,
        uuid=rng.integers(0, 256, (len(index), 16), np.uint8),
        anchor_yx=centre_yx.astype(np.int32),
        box=box.astype(np.int32),
        area_px=np.full(len(index), 100, np.int32),
        score=rng.random(len(index), np.float32),
        measurements=_measurements(rng, centre_yx),
        polygon_start=np.arange(len(index) + 1) * vertices,
        polygon_xy_centipx=np.rint(ring_px * CENTIPIXEL).astype(np.int32).reshape(-1, 2),
        mask_start=np.arange(len(index) + 1) * mask_bytes,
        mask_bits=np.full(len(index) * mask_bytes, 255, np.uint8),
    )


def lattice_batches(count: int, *, batch_rows: int = 16_384) -> Iterator[NucleusRows]:
    """Yield ``count`` nuclei in batches, as a table does; each batch is made when it is needed."""
    for first in range(0, count, batch_rows):
        yield lattice_rows(first, min(count, first + batch_rows))


def _ring(radius_px: NDArray[Any], vertices: int) -> NDArray[Any]:
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.asarray(circle * radius_px[:, None])


def _measurements(rng: np.random.Generator, centre_yx: NDArray[Any]) -> NDArray[Any]:
    values = rng.uniform(0.01, 200, (len(centre_yx), len(MEASUREMENTS))).astype(np.float32)
    values[:, 0] = centre_yx[:, 1] * MPP
    values[:, 1] = centre_yx[:, 0] * MPP
    return values
