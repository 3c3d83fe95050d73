"""Stitch the tiles: each nucleus once and whole, and no pixel in two nuclei.

    claim     per tile    a tile keeps the nuclei anchored in its core, with a few pixels of tolerance, and
                          drops masks that its artificial edges cut
    overlaps  per block   which masks share pixels, and how many
    decide    per slide   where two masks show the same nucleus, the better one stays (greedy in a total
                          order, so the result does not depend on the blocks)
    trim      per block   pixels in two different nuclei go to the better one

The total order is: score, area, anchor, box, mask bytes, tile. Every step uses masks in frame coordinates
only, so blocks, workers and their timing do not change the result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sac_wsi.nuclei.columns import Nuclei, concat
from sac_wsi.nuclei.masks import bit_at, nuclei_from_masks

if TYPE_CHECKING:
    from sac_wsi.geometry import Box
    from sac_wsi.tiling.grid import Tile

SAME_NUCLEUS = 0.4
"""Two masks are the same nucleus if they share more than this part of the smaller one. For equal circles this
is where their centres are one radius apart."""

REMNANT = 0.5
"""A nucleus that loses more than this part of its pixels to better ones is dropped as a remnant."""

IntPairs = NDArray[np.int32]


@dataclass(frozen=True)
class Overlaps:
    """Pairs of nuclei whose masks share pixels.

    Attributes:
        pair: (P, 2) positions in two lists of nuclei, or in the same one.
        shared_px: (P,) number of shared pixels.
    """

    pair: IntPairs
    shared_px: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.pair)


# --- claim: per tile -----------------------------------------------------------------------------


def claim(nuclei: Nuclei, tile: Tile, frame: Box, tolerance_px: int) -> tuple[Nuclei, int]:
    """Return the nuclei that the tile keeps, and how many of its nuclei the edge of its halo cut.

    A cut nucleus is larger than the halo allows; it is dropped, counted and reported.
    """
    near = tile.core.dilate(tolerance_px)
    y, x = nuclei.anchor_yx[:, 0], nuclei.anchor_yx[:, 1]
    anchored = (y >= near.y0) & (y < near.y1) & (x >= near.x0) & (x < near.x1)
    cut = _cut_by_artificial_edge(nuclei.box, tile.read, frame)
    owned = nuclei.take(anchored & ~cut)
    return owned.replace(tile=np.full(len(owned), tile.index, np.int32)), int((anchored & cut).sum())


def _cut_by_artificial_edge(box: NDArray[np.int32], read: Box, frame: Box) -> NDArray[np.bool_]:
    """Return True for masks that touch an edge of the tile where the slide continues beyond it."""
    cut = np.zeros(len(box), bool)
    if read.y0 > frame.y0:
        cut |= box[:, 0] <= read.y0
    if read.x0 > frame.x0:
        cut |= box[:, 1] <= read.x0
    if read.y1 < frame.y1:
        cut |= box[:, 2] >= read.y1
    if read.x1 < frame.x1:
        cut |= box[:, 3] >= read.x1
    return cut


def near_block_border(nuclei: Nuclei, core: Box, halo_px: int, frame: Box) -> NDArray[np.bool_]:
    """Return True for the nuclei of a block that those of a neighbouring block could overlap.

    A neighbour's masks lie in its core plus halo, so at most ``halo_px`` inside this block's core.
    """
    y0 = core.y0 + halo_px if core.y0 > frame.y0 else frame.y0
    x0 = core.x0 + halo_px if core.x0 > frame.x0 else frame.x0
    y1 = core.y1 - halo_px if core.y1 < frame.y1 else frame.y1
    x1 = core.x1 - halo_px if core.x1 < frame.x1 else frame.x1
    box = nuclei.box
    return (box[:, 0] < y0) | (box[:, 1] < x0) | (box[:, 2] > y1) | (box[:, 3] > x1)


# --- overlaps: per block -------------------------------------------------------------------------


def overlaps_within(nuclei: Nuclei) -> Overlaps:
    """Return all pairs (i, j), i < j, whose masks share at least a pixel."""
    order = np.argsort(nuclei.box[:, 0], kind="stable").astype(np.int32)
    pair, shared = _overlaps_sorted(
        order, nuclei.box, nuclei.mask_start, nuclei.mask_bits, np.zeros(len(nuclei), np.int8)
    )
    return Overlaps(np.sort(pair, axis=1), shared)


def overlaps_between(a: Nuclei, b: Nuclei) -> Overlaps:
    """Return all pairs (i in a, j in b) whose masks share at least a pixel."""
    both = concat([a, b])
    side = np.repeat(np.array([1, 2], np.int8), [len(a), len(b)])
    order = np.argsort(both.box[:, 0], kind="stable").astype(np.int32)
    pair, shared = _overlaps_sorted(order, both.box, both.mask_start, both.mask_bits, side)
    pair = np.sort(pair, axis=1)
    pair[:, 1] -= len(a)
    return Overlaps(pair, shared)


@njit(cache=True, nogil=True)
def _overlaps_sorted(order, box, start, bits, side):  # type: ignore[no-untyped-def]
    """Compare nuclei from top to bottom: all of them if ``side`` is 0, else only those of different sides."""
    n = len(order)
    pairs = np.empty((16, 2), np.int32)
    shared = np.empty(16, np.int32)
    count = 0
    for a in range(n):
        i = order[a]
        for b in range(a + 1, n):
            j = order[b]
            if box[j, 0] >= box[i, 2]:
                break
            if box[j, 1] >= box[i, 3] or box[i, 1] >= box[j, 3]:
                continue
            if side[i] != 0 and side[i] == side[j]:
                continue
            px = _shared_px(box, start, bits, i, j)
            if px == 0:
                continue
            if count == len(pairs):
                more = np.empty((2 * count, 2), np.int32)
                more[:count] = pairs
                pairs = more
                more_px = np.empty(2 * count, np.int32)
                more_px[:count] = shared
                shared = more_px
            pairs[count, 0], pairs[count, 1] = i, j
            shared[count] = px
            count += 1
    return pairs[:count], shared[:count]


@njit(cache=True, nogil=True)
def _shared_px(box, start, bits, i, j):  # type: ignore[no-untyped-def]
    y0, x0 = max(box[i, 0], box[j, 0]), max(box[i, 1], box[j, 1])
    y1, x1 = min(box[i, 2], box[j, 2]), min(box[i, 3], box[j, 3])
    width_i, width_j = box[i, 3] - box[i, 1], box[j, 3] - box[j, 1]
    px = 0
    for y in range(y0, y1):
        row_i = (y - box[i, 0]) * width_i - box[i, 1]
        row_j = (y - box[j, 0]) * width_j - box[j, 1]
        for x in range(x0, x1):
            px += bit_at(bits, start[i], row_i + x) & bit_at(bits, start[j], row_j + x)
    return px


# --- decide: per slide ---------------------------------------------------------------------------


def precedence(nuclei: Nuclei) -> NDArray[np.int64]:
    """Return the rank of each nucleus in the total order, 0 for the best.

    Score and area come first, then the place; mask bytes and tile only order nuclei that are otherwise equal.
    """
    keys: list[NDArray[np.generic]] = [nuclei.tile]
    equal = _equal_except_mask(nuclei)
    if equal.any():
        keys.append(_mask_rank(nuclei, equal))
    keys += [nuclei.box[:, k] for k in (3, 2, 1, 0)]
    keys += [nuclei.anchor_yx[:, 1], nuclei.anchor_yx[:, 0], -nuclei.area_px, -nuclei.score]
    rank = np.empty(len(nuclei), np.int64)
    rank[np.lexsort(keys)] = np.arange(len(nuclei))
    return rank


def loser_winner(rank: NDArray[np.int64], pair: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the (P, 2) pairs with the worse of the two first; rank 0 is the best."""
    swap = rank[pair[:, 0]] < rank[pair[:, 1]]
    return np.where(swap[:, None], pair[:, ::-1], pair)


def _equal_except_mask(nuclei: Nuclei) -> NDArray[np.bool_]:
    keys = np.column_stack([nuclei.box, nuclei.anchor_yx, nuclei.area_px, nuclei.score.view(np.int32)])
    _, inverse, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    equal: NDArray[np.bool_] = counts[inverse.ravel()] > 1
    return equal


def _mask_rank(nuclei: Nuclei, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the rank of the chosen nuclei by the bytes of their masks; 0 for the others."""
    rank = np.zeros(len(nuclei), np.int64)
    rows = np.flatnonzero(chosen)
    start, bits = nuclei.mask_start, nuclei.mask_bits
    masks = [bits[start[i] : start[i + 1]].tobytes() for i in rows]
    order = {mask: k for k, mask in enumerate(sorted(set(masks)))}
    rank[rows] = [order[mask] for mask in masks]
    return rank


def same_nucleus(overlaps: Overlaps, area_a: NDArray[np.int32], area_b: NDArray[np.int32]) -> Overlaps:
    """Return the pairs that show the same nucleus; areas are in pixels."""
    smaller = np.minimum(area_a[overlaps.pair[:, 0]], area_b[overlaps.pair[:, 1]])
    same = overlaps.shared_px > SAME_NUCLEUS * smaller
    return Overlaps(overlaps.pair[same], overlaps.shared_px[same])


def decide(rank: NDArray[np.int64], conflicts: IntPairs) -> NDArray[np.bool_]:
    """Choose greedily, the best first: each nucleus that stays removes those it conflicts with.

    Only the order of ``rank`` matters, so the same conflicts give the same choice for any blocks.

    Returns:
        (N,) True for the nuclei that stay.
    """
    neighbours = np.concatenate([conflicts, conflicts[:, ::-1]]) if len(conflicts) else conflicts
    by_node = neighbours[np.argsort(neighbours[:, 0], kind="stable")]
    start = np.searchsorted(by_node[:, 0], np.arange(len(rank) + 1))
    keep = np.ones(len(rank), bool)
    for i in np.argsort(rank):
        if keep[i]:
            keep[by_node[start[i] : start[i + 1], 1]] = False
    return keep


# --- trim: per block -----------------------------------------------------------------------------


def trim(nuclei: Nuclei, better: Nuclei, pair: IntPairs) -> Nuclei:
    """Remove from nucleus i the pixels of nucleus j of ``better``, for each pair (i, j); drop remnants.

    Of a trimmed mask only the largest connected part stays. Its stain was measured before, on the whole mask.
    """
    if not len(pair):
        return nuclei
    touched, local = np.unique(pair[:, 0], return_inverse=True)
    part = nuclei.take(touched)
    bits = part.mask_bits.copy()
    mine = (part.box, part.mask_start, bits)
    _clear(mine, (better.box, better.mask_start, better.mask_bits), local, pair[:, 1])
    cleared = replace(part, mask_bits=bits)
    masks = [((int(part.box[k, 0]), int(part.box[k, 1])), cleared.mask(k)) for k in range(len(part))]
    left = [k for k, (_, mask) in enumerate(masks) if mask.any()]
    rebuilt = nuclei_from_masks([masks[k] for k in left], part.score[left])
    source = part.take(np.array(left, np.int64))
    # keep the anchor of the whole mask: it decides the id and the UUID
    rebuilt = rebuilt.replace(anchor_yx=source.anchor_yx, tile=source.tile, stain_od=source.stain_od)
    whole = rebuilt.area_px >= REMNANT * source.area_px
    untouched = np.setdiff1d(np.arange(len(nuclei)), touched)
    return concat([nuclei.take(untouched), rebuilt.take(whole)])


@njit(cache=True, nogil=True)
def _clear(mine, better, rows, better_rows):  # type: ignore[no-untyped-def]
    """Clear in place the bits that a better mask holds too; masks are (box, start, bits)."""
    box, start, bits = mine
    other_box, other_start, other_bits = better
    for p in range(len(rows)):
        i, j = rows[p], better_rows[p]
        width_i, width_j = box[i, 3] - box[i, 1], other_box[j, 3] - other_box[j, 1]
        for y in range(max(box[i, 0], other_box[j, 0]), min(box[i, 2], other_box[j, 2])):
            for x in range(max(box[i, 1], other_box[j, 1]), min(box[i, 3], other_box[j, 3])):
                k = (y - other_box[j, 0]) * width_j + x - other_box[j, 1]
                if bit_at(other_bits, other_start[j], k):
                    at = (y - box[i, 0]) * width_i + x - box[i, 1]
                    bits[start[i] + (at >> 3)] &= ~np.uint8(128 >> (at & 7))
