"""Make instances from masks: divide one foreground mask, or remove duplicates from many masks.

    seeded_watershed   one mask and a seed for each nucleus ► a label map
    at_own_height      ... without the pixels that are below a share of the height of their own nucleus
    mask_nms           a mask for each prompt ► the masks that are not duplicates of a better one

"Better" is the total order of ``sac_wsi.tiling.stitch.precedence``: the result does not depend on the order
of the list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.segmentation import watershed

from sac_wsi.nuclei.label_maps import object_pixels, sequential
from sac_wsi.tiling.stitch import decide, loser_winner, overlaps_within, precedence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sac_wsi.nuclei.columns import Nuclei

_DEPTH_SIGMA_PX = 1.0
_DEPTH_WEIGHT_PER_PX = 0.1  # `classical` adds as much: 0.2 per micrometre at 0.5 micrometres per pixel
_STEPS = 1000  # heights of the relief per unit of probability


def seeded_watershed(
    prob: NDArray[np.float32],
    mask: NDArray[np.bool_],
    seeds_yx: NDArray[np.integer],
    min_area_px: int = 10,
) -> NDArray[np.int32]:
    """Divide ``mask`` (h, w) into labels 1..n: 4-connected pieces, one around each seed (K, 2) y, x.

    A 4-connected region of the mask without a seed becomes an instance of its own; seeds outside the mask
    are ignored. Pieces smaller than ``min_area_px`` are left out. Labels are in the order of the seeds, then
    regions without a seed in reading order.

    The watershed floods ``prob`` (the foreground, or better the boundary map) plus the weighted depth in the
    mask. A foreground probability alone is 1 in a whole clump and would put the cut midway between seeds.
    Depth alone does not use what the network saw between two nuclei. The sum cuts at the neck.
    """
    seeds_yx = np.asarray(seeds_yx, np.int64).reshape(-1, 2)
    if ((seeds_yx < 0) | (seeds_yx >= mask.shape)).any():
        raise ValueError(f"found seeds outside the map of {mask.shape} pixels: pass y, x of its own pixels")
    # outside the map is background, so that a mask that fills the map has a depth
    depth_px = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    markers = _discs(seeds_yx[mask[seeds_yx[:, 0], seeds_yx[:, 1]]], depth_px)
    regions, count = ndimage.label(mask)
    seeded = np.zeros(count + 1, bool)
    seeded[0] = True  # the background needs no seed
    seeded[regions[markers > 0]] = True
    markers += np.where(seeded[regions], 0, regions + len(seeds_yx)).astype(np.int32)
    pieces = watershed(-_relief(prob, depth_px), markers, mask=mask)
    area_px = np.bincount(pieces.ravel())
    return sequential(np.where(area_px[pieces] >= min_area_px, pieces, 0))


def at_own_height(
    labels: NDArray[np.int32], prob: NDArray[np.float32], share: float, faint_probability: float
) -> NDArray[np.int32]:
    """Remove from each object the pixels that are not above ``share`` of its own height. Labels are (h, w).

    The height of an object is the value that nine of ten of its pixels do not exceed, at least
    ``faint_probability``. One threshold for all would draw faint nuclei too small, or clear ones too large.
    Labels may be left in pieces or vanish.
    """
    flat, owner = object_pixels(labels)
    height = np.maximum(_ninth_tenth(prob.ravel()[flat], owner), faint_probability)
    kept = labels.copy()
    kept.ravel()[flat[prob.ravel()[flat] <= share * height[owner]]] = 0
    return kept


def _ninth_tenth(values: NDArray[np.float32], owner: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the 90th percentile of the values of each owner 0..n-1; each owner has values."""
    count = np.bincount(owner)
    ordered = values[np.lexsort((values, owner))]
    found: NDArray[np.float32] = ordered[np.cumsum(count) - count + (count - 1) * 9 // 10]
    return found


def _discs(seeds_yx: NDArray[np.int64], depth_px: NDArray[np.float64]) -> NDArray[np.int32]:
    """Draw seed i as label i + 1 on a disc, so that a seed beside the middle of its nucleus is not flooded.

    The radius is half the distance to the border, at most a quarter of the distance to the next seed. A seed
    of one pixel can lie lower than the neck to the next nucleus: the flood of that nucleus would pass the
    neck first and leave the seed a single pixel. (Near the border the disc is small, and it still happens.)
    """
    labels = np.zeros(depth_px.shape, np.int32)
    # backwards, and the last assignment holds: of equal seeds the first counts
    labels[seeds_yx[::-1, 0], seeds_yx[::-1, 1]] = np.arange(len(seeds_yx), 0, -1)
    y, x = np.nonzero(labels)
    if not len(y):
        return labels
    seeds = np.column_stack([y, x])
    next_px = np.asarray(cKDTree(seeds).query(seeds, [2])[0])[:, 0]  # infinite for a single seed
    radius_px = np.zeros(depth_px.shape)
    radius_px[y, x] = np.minimum(depth_px[y, x], next_px / 2) / 2
    distance_px, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    nearest_y, nearest_x = nearest
    discs = np.where(distance_px <= radius_px[nearest_y, nearest_x], labels[nearest_y, nearest_x], 0)
    return discs.astype(np.int32)


def _relief(prob: NDArray[np.float32], depth_px: NDArray[np.float64]) -> NDArray[np.int32]:
    smooth_px = ndimage.gaussian_filter(depth_px, _DEPTH_SIGMA_PX, mode="nearest")
    # whole steps: rounding in the last digit must not decide where a plateau begins
    return np.asarray(np.rint((prob + _DEPTH_WEIGHT_PER_PX * smooth_px) * _STEPS), np.int32)


def mask_nms(nuclei: Nuclei, iou: float, inside: float = 0.8) -> NDArray[np.int64]:
    """Return the positions of the nuclei to keep, in rising order; greedy, the best first.

    A nucleus is removed if its mask and that of a better one that is kept have an intersection over union
    above ``iou``, or if more than the part ``inside`` of its pixels lies in that better one.
    """
    overlaps = overlaps_within(nuclei)
    rank = precedence(nuclei)
    loser = loser_winner(rank, overlaps.pair)[:, 0]
    area_px = nuclei.area_px.astype(np.int64)
    union_px = area_px[overlaps.pair].sum(axis=1) - overlaps.shared_px
    conflict = (overlaps.shared_px > iou * union_px) | (overlaps.shared_px > inside * area_px[loser])
    return np.flatnonzero(decide(rank, overlaps.pair[conflict]))
