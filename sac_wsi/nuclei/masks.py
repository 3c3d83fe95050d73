"""Convert between label maps, boolean masks and the packed masks of ``Nuclei``.

A nucleus is one 4-connected component without holes. Two rules make it so:

* if a label is in several pieces, the largest is kept (of equals the first in reading order);
* holes are filled. Another label that lies in such a hole keeps its pixels too: both masks hold them, and
  stitching decides which of the two nuclei is kept.

Holes are 4-connected as well: a hole that meets the outside only at a corner is filled. So the outline of a
filled mask is one simple ring that never touches itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from sac_wsi.nuclei.columns import Nuclei
from sac_wsi.nuclei.label_maps import largest_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sac_wsi.geometry import Box

# kinds of pixels of a patch; bits, so that a flood can pass several kinds
_BACKGROUND, _SELF, _PIECE, _KEPT, _OUTSIDE = 1, 2, 4, 8, 16


def nuclei_from_labels(
    labels: NDArray[np.int32], corner_yx: tuple[int, int], scores: NDArray[np.float32] | None = None
) -> Nuclei:
    """Return one nucleus per label, by rising label; ``corner_yx`` is the place of the map in the frame.

    Labels are 1..n, gaps allowed; 0 is background. ``scores[i]`` is the score of label i + 1, 1 by default.

    >>> found = nuclei_from_labels(np.array([[0, 1, 1], [2, 0, 1]], np.int32), (100, 200))
    >>> found.box.tolist(), found.anchor_yx.tolist()
    ([[100, 201, 102, 203], [101, 200, 102, 201]], [[100, 202], [101, 200]])
    """
    labels = np.ascontiguousarray(labels, np.int32)
    count = largest_label(labels)
    if scores is not None and len(scores) < count:
        raise ValueError(
            f"labels reach {count}, scores are {len(scores)}: pass one score for each label 1..n"
        )
    ids, columns = _pack_labels(labels, _label_boxes(labels, count), *corner_yx)
    return nuclei_from_packed(columns, None if scores is None else np.asarray(scores)[ids - 1])


def nuclei_from_masks(
    masks: Sequence[tuple[tuple[int, int], NDArray[np.bool_]]], scores: NDArray[np.float32] | None = None
) -> Nuclei:
    """Return one nucleus per (corner_yx, mask); masks may overlap, and empty ones are left out.

    >>> nuclei_from_masks([((5, -3), np.ones((2, 2), bool))]).box.tolist()
    [[5, -3, 7, -1]]
    """
    if scores is not None and len(scores) != len(masks):
        raise ValueError(f"found {len(scores)} scores for {len(masks)} masks: pass one for each mask")
    sizes = [mask.size for _, mask in masks]
    columns = new_columns(len(masks), sum((size + 7) // 8 for size in sizes))
    rows: list[int] = []
    for i, (corner_yx, mask) in enumerate(masks):
        if mask.any() and _pack_one(np.ascontiguousarray(mask, np.int32), *corner_yx, len(rows), columns):
            rows.append(i)
    return nuclei_from_packed(
        trim_columns(columns, len(rows)), None if scores is None else np.asarray(scores)[rows]
    )


def labels_from_nuclei(nuclei: Nuclei, box: Box) -> NDArray[np.int32]:
    """Paint nucleus i as i + 1 into the part of the frame in ``box``; of two that overlap, the later one.

    >>> from sac_wsi.geometry import Box
    >>> labels_from_nuclei(nuclei_from_masks([((0, 0), np.ones((2, 2), bool))]), Box(1, 0, 3, 3))
    array([[1, 1, 0],
           [0, 0, 0]], dtype=int32)
    """
    labels = np.zeros(box.shape, np.int32)
    _paint(nuclei.box, nuclei.mask_start, nuclei.mask_bits, box.y0, box.x0, labels)
    return labels


def nuclei_from_packed(columns: tuple[NDArray[Any], ...], scores: NDArray[Any] | None = None) -> Nuclei:
    """Make ``Nuclei`` from the columns of ``new_columns``: claimed by no tile, stains not measured."""
    anchor_yx, box, area_px, mask_start, mask_bits = columns
    count = len(box)
    return Nuclei(
        anchor_yx=anchor_yx,
        box=box,
        area_px=area_px,
        score=np.ones(count, np.float32) if scores is None else np.asarray(scores, np.float32),
        tile=np.full(count, -1, np.int32),
        stain_od=np.full((count, 2), np.nan, np.float32),
        mask_start=mask_start,
        mask_bits=mask_bits,
    )


@njit(inline="always")  # type: ignore[untyped-decorator,unused-ignore]
def bit_at(bits: NDArray[np.uint8], start: int, k: int) -> Any:
    """Return pixel ``k`` (row by row in its box) of the packed mask whose bytes begin at ``start``."""
    return (bits[start + (k >> 3)] >> (7 - (k & 7))) & 1


@njit(cache=True, nogil=True)
def new_columns(count: int, byte_count: int) -> Any:
    """Allocate columns for ``count`` nuclei: anchor_yx, box, area_px, mask_start, mask_bits."""
    return (
        np.zeros((count, 2), np.int32),
        np.zeros((count, 4), np.int32),
        np.zeros(count, np.int32),
        np.zeros(count + 1, np.int64),
        np.zeros(byte_count, np.uint8),
    )


@njit(cache=True, nogil=True)
def trim_columns(columns: Any, count: int) -> Any:
    """Copy the first ``count`` rows: a view would keep the whole buffer in memory."""
    anchor_yx, box, area_px, mask_start, mask_bits = columns
    return (
        anchor_yx[:count].copy(),
        box[:count].copy(),
        area_px[:count].copy(),
        mask_start[: count + 1].copy(),
        mask_bits[: mask_start[count]].copy(),
    )


@njit(cache=True, nogil=True)
def append_mask(patch: Any, kind: int, y0: int, x0: int, row: int, columns: Any) -> Any:
    """Append the pixels of ``patch`` with a bit of ``kind``; return False if there is none.

    They become nucleus ``row``; rows are appended in order. ``y0, x0`` is the frame position of
    ``patch[0, 0]``.
    """
    top, left, bottom, right = patch.shape[0], patch.shape[1], -1, -1
    area, sum_y, sum_x = 0, 0, 0
    for y in range(patch.shape[0]):
        for x in range(patch.shape[1]):
            if patch[y, x] & kind:
                top, bottom = min(top, y), y
                left, right = min(left, x), max(right, x)
                area += 1
                sum_y += y
                sum_x += x
    if area == 0:
        return False
    anchor_yx, box, area_px, mask_start, mask_bits = columns
    # floor division of integers: shifting a mask by whole pixels shifts its anchor by just as many
    anchor_yx[row, 0] = (2 * (sum_y + area * y0) + area) // (2 * area)
    anchor_yx[row, 1] = (2 * (sum_x + area * x0) + area) // (2 * area)
    box[row, 0], box[row, 1] = y0 + top, x0 + left
    box[row, 2], box[row, 3] = y0 + bottom + 1, x0 + right + 1
    area_px[row] = area
    bit = mask_start[row] * 8
    for y in range(top, bottom + 1):
        for x in range(left, right + 1):
            if patch[y, x] & kind:
                mask_bits[bit >> 3] |= np.uint8(128 >> (bit & 7))
            bit += 1
    mask_start[row + 1] = (bit + 7) >> 3
    return True


@njit(cache=True, nogil=True)
def _label_boxes(labels: Any, count: int) -> Any:
    """Return the half-open box of each label 0..count in the map; y1 is 0 if the label does not occur."""
    height, width = labels.shape
    boxes = np.zeros((count + 1, 4), np.int64)
    boxes[:, 0], boxes[:, 1] = height, width
    for y in range(height):
        x = 0
        while x < width:
            label, run_start = labels[y, x], x
            while x < width and labels[y, x] == label:
                x += 1
            if label:
                box = boxes[label]
                box[0], box[2] = min(box[0], y), y + 1
                box[1], box[3] = min(box[1], run_start), max(box[3], x)
    return boxes


@njit(cache=True, nogil=True)
def _pack_labels(labels: Any, boxes: Any, corner_y: int, corner_x: int) -> Any:
    """Return the labels that occur, and their nuclei as columns."""
    ids = np.flatnonzero(boxes[:, 2])
    byte_count = 0
    for label in ids:
        y0, x0, y1, x1 = boxes[label]
        byte_count += ((y1 - y0) * (x1 - x0) + 7) >> 3
    columns = new_columns(len(ids), byte_count)
    for row in range(len(ids)):
        label = ids[row]
        y0, x0, y1, x1 = boxes[label]
        patch = _kept_pixels(labels[y0:y1, x0:x1], label)
        append_mask(patch, _KEPT, corner_y + y0 - 1, corner_x + x0 - 1, row, columns)
    return ids, trim_columns(columns, len(ids))


@njit(cache=True, nogil=True)
def _pack_one(mask: Any, y0: int, x0: int, row: int, columns: Any) -> Any:
    return append_mask(_kept_pixels(mask, 1), _KEPT, y0 - 1, x0 - 1, row, columns)


@njit(cache=True, nogil=True)
def _kept_pixels(labels: Any, label: int) -> Any:
    """Return the largest piece of ``label``, holes filled, as _KEPT pixels with a margin of 1 px."""
    height, width = labels.shape
    patch = np.full((height + 2, width + 2), _BACKGROUND, np.uint8)
    for y in range(height):
        for x in range(width):
            if labels[y, x] == label:
                patch[y + 1, x + 1] = _SELF
    flat, stride = patch.ravel(), width + 2
    queue = np.empty(flat.size, np.int64)
    _keep_largest_piece(flat, stride, queue)
    _flood(flat, stride, 0, _BACKGROUND | _PIECE, _OUTSIDE, queue)
    for at in range(flat.size):
        if flat[at] != _OUTSIDE:
            flat[at] = _KEPT
    return patch


@njit(cache=True, nogil=True)
def _keep_largest_piece(flat: Any, stride: int, queue: Any) -> None:
    largest, largest_seed = 0, 0
    for seed in range(flat.size):
        if flat[seed] == _SELF:
            count = _flood(flat, stride, seed, _SELF, _PIECE, queue)
            if count > largest:
                largest, largest_seed = count, seed
    _flood(flat, stride, largest_seed, _PIECE, _KEPT, queue)


@njit(cache=True, nogil=True)
def _flood(flat: Any, stride: int, seed: int, passable: int, paint: int, queue: Any) -> Any:
    """Paint the pixels that are 4-connected to ``seed`` through ``passable`` kinds; return their number.

    The patch has a margin, so steps that wrap from one row to the next do no harm.
    """
    count, done = 1, 0
    flat[seed] = paint
    queue[0] = seed
    while done < count:
        at = queue[done]
        done += 1
        for step in (-stride, -1, 1, stride):
            to = at + step
            if 0 <= to < flat.size and flat[to] & passable:
                flat[to] = paint
                queue[count] = to
                count += 1
    return count


@njit(cache=True, nogil=True)
def _paint(boxes: Any, mask_start: Any, mask_bits: Any, corner_y: int, corner_x: int, labels: Any) -> None:
    for i in range(len(boxes)):
        y0, x0, y1, x1 = boxes[i, 0] - corner_y, boxes[i, 1] - corner_x, boxes[i, 2], boxes[i, 3]
        y1, x1 = y1 - corner_y, x1 - corner_x
        for y in range(max(y0, 0), min(y1, labels.shape[0])):
            row_bit = mask_start[i] * 8 + (y - y0) * (x1 - x0) - x0
            for x in range(max(x0, 0), min(x1, labels.shape[1])):
                bit = row_bit + x
                if mask_bits[bit >> 3] & (128 >> (bit & 7)):
                    labels[y, x] = i + 1
