"""Count the objects of a label map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

if TYPE_CHECKING:
    from sac_wsi.datasets.sample import Labels

_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True)
class ObjectCounts:
    """Sorted ``ids`` with their ``area_px``; ``split``: ids with more than one piece (corners connect)."""

    ids: NDArray[np.int64]
    area_px: NDArray[np.int64]
    split: tuple[int, ...]


def count_objects(labels: Labels) -> ObjectCounts:
    """Return ids and areas of the objects in (h, w) labels."""
    ids, dense = np.unique(labels, return_inverse=True)
    dense = dense.reshape(labels.shape)
    if ids[0] != 0:
        ids, dense = np.concatenate([[0], ids]), dense + 1
    area_px = np.bincount(dense.ravel(), minlength=len(ids))
    boxes = ndimage.find_objects(dense, max_label=len(ids) - 1)
    split = [
        int(ids[i]) for i, box in enumerate(boxes, 1) if box and ndimage.label(dense[box] == i, _EIGHT)[1] > 1
    ]
    return ObjectCounts(ids[1:].astype(np.int64), area_px[1:], tuple(split))
