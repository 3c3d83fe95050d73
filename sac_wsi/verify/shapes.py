"""Convert rows of the table to shapely polygons, many at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from sac_wsi.nuclei.table import CENTIPIXEL

if TYPE_CHECKING:
    from sac_wsi.geometry import Box

Polygons = NDArray[Any]
"""An array of shapely geometries, of dtype object."""


def polygons_px(start: NDArray[np.int64], xy_centipx: NDArray[np.int32]) -> Polygons:
    """Return polygons in pixels from open rings of at least three vertices each; ``start`` begins at 0."""
    closed = np.insert(xy_centipx[: start[-1]], start[1:], xy_centipx[start[:-1]], axis=0) / CENTIPIXEL
    one_ring_each = np.arange(len(start))
    ring_start = start + one_ring_each
    return shapely.from_ragged_array(shapely.GeometryType.POLYGON, closed, (ring_start, one_ring_each))


def bounds_centipx(start: NDArray[np.int64], xy_centipx: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return (N, 4) y0, x0, y1, x1 of the rings, both ends included; each ring needs a vertex."""
    low = np.minimum.reduceat(xy_centipx, start[:-1], axis=0)
    high = np.maximum.reduceat(xy_centipx, start[:-1], axis=0)
    return np.concatenate([low[:, ::-1], high[:, ::-1]], axis=1).astype(np.int64)


def inside(bounds_centipx: NDArray[np.int64], slide: Box) -> NDArray[np.bool_]:
    """Return which bounds lie in ``slide`` (level-0 pixels), its far edges included."""
    slide_centipx = np.array([slide.y0, slide.x0, slide.y1, slide.x1]) * CENTIPIXEL
    low = bounds_centipx[:, :2] >= slide_centipx[:2]
    high = bounds_centipx[:, 2:] <= slide_centipx[2:]
    return np.asarray(np.all(low & high, axis=1))
