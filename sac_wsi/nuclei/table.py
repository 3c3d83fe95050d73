"""Rows of published nuclei, which every export, check and picture reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CENTIPIXEL = 100
"""Polygon coordinates are whole hundredths of a level-0 pixel."""

MEASUREMENTS = (
    "Centroid X µm",
    "Centroid Y µm",
    "Area µm^2",
    "Length µm",
    "Circularity",
    "Solidity",
    "Max diameter µm",
    "Min diameter µm",
    "Orientation °",
    "Hematoxylin: Mean",
    "Eosin: Mean",
)
"""QuPath's names (``ObjectMeasurements``); QuPath has no orientation, whose name follows the same pattern."""


@dataclass(frozen=True)
class NucleusRows:
    """N published nuclei in the order of the table: by page of the frame, then by id.

    id                    (N,)    label value, the rank by anchor over the whole slide, from 1
    uuid                  (N, 16) bytes of the UUID
    box                   (N, 4)  y0, x0, y1, x1 of the mask in frame pixels, half-open
    score                 (N,)    0..1
    measurements          (N, len(MEASUREMENTS)); NaN where not defined
    polygon_start         (N+1,)  first vertex of each polygon in ``polygon_xy_centipx``
    polygon_xy_centipx    (P, 2)  x, y in hundredths of a level-0 pixel; rings are not closed here
    mask_start, mask_bits as in ``Nuclei``
    """

    id: NDArray[np.int64]
    uuid: NDArray[np.uint8]
    anchor_yx: NDArray[np.int32]
    box: NDArray[np.int32]
    area_px: NDArray[np.int32]
    score: NDArray[np.float32]
    measurements: NDArray[np.float32]
    polygon_start: NDArray[np.int64]
    polygon_xy_centipx: NDArray[np.int32]
    mask_start: NDArray[np.int64]
    mask_bits: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.id)

    def polygon_px(self, i: int) -> NDArray[np.float64]:
        """Return the open ring of nucleus i as (V, 2) x, y in level-0 pixels."""
        ring = self.polygon_xy_centipx[self.polygon_start[i] : self.polygon_start[i + 1]]
        return ring / CENTIPIXEL
