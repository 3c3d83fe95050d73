"""From masks to instances: one foreground mask is split, many masks are thinned out.

    seeded_watershed   one mask and a point for each nucleus ► a label map
    at_own_height      ... each nucleus as far as it is above a part of its own height
    mask_nms           a mask for each point ► those that are no second view of a better one

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
    """Labels 1..n (h, w) of ``mask`` (h, w): 4-connected pieces, each round one seed (K, 2) y, x.

    A 4-connected region of the mask without a seed becomes an instance of its own; seeds beside the mask
    count for nothing. Pieces smaller than ``min_area_px`` go. Labels follow the seeds, then the regions
    without a seed in reading order.

    The floods run down ``prob`` (foreground, or better the boundary map) plus the weighted depth in the
    mask. A foreground probability alone is 1 all over a clump and would put the cut midway between seeds;
    depth alone is blind to what the network saw between two nuclei; together they cut at the neck.
    """
    seeds_yx = np.asarray(seeds_yx, np.int64).reshape(-1, 2)
    if ((seeds_yx < 0) | (seeds_yx >= mask.shape)).any():
        raise ValueError(f"found seeds outside the map of {mask.shape} pixels: pass y, x of its own pixels")
    # beyond the map is background, so that a mask that fills the map has a depth too
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
    """Of each owner 0..n-1, each of which has values, the value nine tenths up their order."""
    count = np.bincount(owner)
    ordered = values[np.lexsort((values, owner))]
    found: NDArray[np.float32] = ordered[np.cumsum(count) - count + (count - 1) * 9 // 10]
    return found


def _discs(seeds_yx: NDArray[np.int64], depth_px: NDArray[np.float64]) -> NDArray[np.int32]:
    """Seed i as label i + 1 on a disc, which reaches half the way to the border or to the next seed's half.

    A seed of one pixel beside the middle of its nucleus may lie lower than the neck to the next one: that
    one's flood would come over the neck first and leave the seed a single pixel. (Far out, where the disc
    is small, that still happens.)
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
    """Positions of the nuclei that stay, rising; greedy, the best first.

    A nucleus goes if its mask and that of a better one that stays have an intersection over union above
    ``iou``, or if more than the part ``inside`` of its pixels lies in that better one.
    """
    overlaps = overlaps_within(nuclei)
    rank = precedence(nuclei)
    loser = loser_winner(rank, overlaps.pair)[:, 0]
    area_px = nuclei.area_px.astype(np.int64)
    union_px = area_px[overlaps.pair].sum(axis=1) - overlaps.shared_px
    conflict = (overlaps.shared_px > iou * union_px) | (overlaps.shared_px > inside * area_px[loser])
    return np.flatnonzero(decide(rank, overlaps.pair[conflict]))
