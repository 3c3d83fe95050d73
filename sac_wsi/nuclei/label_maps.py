"""Geometry of label maps: their objects, centres and depths. Positions are pixel indices y, x of the map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.measure import label

if TYPE_CHECKING:
    from numpy.typing import NDArray

# a small part of a map may hold any label of the whole map
_SPARE_LABELS = 1 << 20


def region_centres(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return (K, 2) y, x centres of the 4-connected regions, the largest first, equals in reading order.

    >>> region_centres(np.array([[1, 0, 1, 1], [0, 0, 1, 1]], bool)).tolist()
    [[1, 3], [0, 0]]
    """
    regions, _ = ndimage.label(mask)
    centre_yx, area_px = label_centres(regions)
    return centre_yx[np.lexsort((centre_yx[:, 1], centre_yx[:, 0], -area_px))]


def label_centres(labels: NDArray[np.integer]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return centre (n, 2) y, x and area in pixels (n,) of the labels 1..n; none may be missing.

    The centre is the centroid, rounded with whole numbers (halves up, as for the anchor of a nucleus). If
    that is not a pixel of the object, it is the nearest pixel of the object, of equals the first in reading
    order.
    """
    flat, owner = object_pixels(labels)
    y, x = np.divmod(flat, labels.shape[1])
    area = np.bincount(owner)
    # sums of whole numbers below 2^53 are exact in float64
    total = np.column_stack([np.bincount(owner, y), np.bincount(owner, x)]).astype(np.int64)
    centre = (2 * total + area[:, None]) // (2 * area[:, None])
    _move_inside(centre, labels, flat, owner)
    return centre.astype(np.int32), area


def _move_inside(
    centre_yx: NDArray[np.int64],
    labels: NDArray[np.integer],
    flat: NDArray[np.int64],
    owner: NDArray[np.int64],
) -> None:
    outside = labels[centre_yx[:, 0], centre_yx[:, 1]] != np.arange(1, len(centre_yx) + 1)
    theirs = outside[owner]
    flat, owner = flat[theirs], owner[theirs]
    y, x = np.divmod(flat, labels.shape[1])
    far = (y - centre_yx[owner, 0]) ** 2 + (x - centre_yx[owner, 1]) ** 2
    nearest = np.full(len(centre_yx), np.iinfo(np.int64).max)
    np.minimum.at(nearest, owner, far)
    candidates = np.flatnonzero(far == nearest[owner])[::-1]
    # backwards, and the last assignment counts: the first in reading order
    centre_yx[owner[candidates]] = pixels_yx(flat[candidates], labels.shape[1])


def depth_px(labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return (h, w) the depth of each pixel in its object, 0 on the background.

    It is 1 on border pixels, elsewhere 1 plus the distance to the object's nearest border pixel.

    A border pixel has a 4-neighbour outside its object: background, a touching object, or beyond the map.

    >>> depth_px(np.array([[1, 1, 1, 2, 0], [1, 1, 1, 2, 0], [1, 1, 1, 2, 0]])).astype(int).tolist()
    [[1, 1, 1, 1, 0], [1, 2, 1, 1, 0], [1, 1, 1, 1, 0]]
    """
    height, width = labels.shape
    around = np.pad(labels, 1)  # outside the map is background
    objects = labels != 0
    inner = objects.copy()
    for dy, dx in ((0, 1), (1, 0), (1, 2), (2, 1)):
        inner &= around[dy : dy + height, dx : dx + width] == labels
    # One transform serves all objects: a staircase from a pixel to a border pixel of another object passes
    # a border pixel of its own object, and each of its steps is farther away than the one before.
    depth: NDArray[np.float64] = ndimage.distance_transform_edt(inner) + objects
    return depth


def share_of_most(values: NDArray[np.floating], owner: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Divide each value, 0 or more, by the largest of its owner 0..count-1; 0 if that is 0."""
    most = np.zeros(count)
    np.maximum.at(most, owner, values)
    most[most == 0] = 1
    share: NDArray[np.float64] = values / most[owner]
    return share


def sequential(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """Renumber the objects as 1..n without gaps, in the order of their labels.

    >>> sequential(np.array([[0, 7, 7, 3]])).tolist()
    [[0, 2, 2, 1]]
    """
    present = np.zeros(largest_label(labels) + 1, bool)
    present[labels.ravel()] = True
    present[0] = False
    number = np.where(present, np.cumsum(present), 0).astype(np.int32)
    renumbered: NDArray[np.int32] = number[labels]
    return renumbered


def largest_pieces(labels: NDArray[np.integer], min_area_px: int = 1) -> NDArray[np.int32]:
    """Keep the largest 4-connected piece of each object, of equal ones the first in reading order.

    The objects are renumbered as 1..n in the order of their labels; smaller ones than ``min_area_px`` are
    left out.

    >>> largest_pieces(np.array([[7, 0, 7, 7], [0, 3, 0, 7]])).tolist()
    [[0, 0, 2, 2], [0, 1, 0, 2]]
    """
    pieces = np.asarray(label(labels, connectivity=1, background=0))
    area_px = np.bincount(pieces.ravel())
    owner = np.zeros(len(area_px), np.int64)
    owner[pieces.ravel()] = labels.ravel()
    order = np.lexsort((-np.arange(len(area_px)), area_px))
    largest = np.zeros(largest_label(labels) + 1, np.int64)
    largest[owner[order]] = order
    kept = (largest[owner] == np.arange(len(area_px))) & (area_px >= min_area_px)
    kept[0] = False
    return sequential(np.where(kept[pieces], labels, 0))


def largest_label(labels: NDArray[np.integer]) -> int:
    """Return the largest label; 0 for an empty map.

    Raises:
        ValueError: A label is negative, or so large that a table of all labels would take too much memory.
    """
    lowest, highest = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if lowest < 0 or highest > labels.size + _SPARE_LABELS:
        raise ValueError(
            f"labels run from {lowest} to {highest} in a map of {labels.size} pixels, needed 0 (background) "
            "and 1..n: pass skimage.segmentation.relabel_sequential(labels)[0]"
        )
    return highest


def object_pixels(labels: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the position in the flat map and the label minus 1 of each object pixel, in reading order."""
    flat = np.flatnonzero(labels)
    return flat, labels.ravel()[flat].astype(np.int64) - 1


def pixels_yx(flat: NDArray[np.int64], width: int) -> NDArray[np.int32]:
    """Convert positions in a flat map to (N, 2) y, x."""
    return np.column_stack(np.divmod(flat, width)).astype(np.int32)
