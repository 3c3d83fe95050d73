"""Check the label image against the table: every nucleus is drawn, with the right number of pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sac_wsi.geometry import Box
from sac_wsi.verify.findings import Findings

if TYPE_CHECKING:
    from sac_wsi.nuclei.table import NucleusRows

READ_PX = 2048
LARGEST_NUCLEUS_PX = 4096
"""A larger box means damage, and reading it could need too much memory."""

ReadLabels = Callable[[Box], NDArray[np.uint32]]


def check_labels(
    batches: Iterable[NucleusRows], read_labels: ReadLabels, image: Box, *, label_px_per_frame_px: float = 1.0
) -> Findings:
    """Count the pixels of each nucleus in the label image.

    Each nucleus must have some; if the image has the resolution of the frame, exactly ``area_px``.

    Args:
        batches: Rows of the table.
        read_labels: Returns the labels of a box, in label pixels. No side of a box is longer than
            ``READ_PX + LARGEST_NUCLEUS_PX``.
        image: Box of the whole label image, in label pixels.
        label_px_per_frame_px: 1 if the label image has the resolution of the frame.
    """
    findings = Findings()
    for rows in batches:
        box = _in_label_px(rows.box, label_px_per_frame_px)
        readable = _readable(box, image)
        pixels = np.zeros(len(rows), np.int64)
        for index in _groups_by_place(box, np.flatnonzero(readable)):
            pixels[index] = _count(rows.id[index], box[index], image, read_labels)
        _add_problems(rows, box, readable, pixels, findings, exact=label_px_per_frame_px == 1.0)
    return findings


def _add_problems(
    rows: NucleusRows,
    box: NDArray[np.int64],
    readable: NDArray[np.bool_],
    pixels: NDArray[np.int64],
    findings: Findings,
    *,
    exact: bool,
) -> None:
    findings.add_flagged("label-box", rows, ~readable, lambda i: f"box {box[i].tolist()} is not in the image")
    missing = readable & (pixels == 0)
    findings.add_flagged("label-missing", rows, missing, lambda i: "has no pixel in the label image")
    differ = readable & ~missing & (pixels != rows.area_px) & exact
    findings.add_flagged(
        "label-area",
        rows,
        differ,
        lambda i: f"{pixels[i]} pixels in the label image, {rows.area_px[i]} in the table",
    )


def _in_label_px(box: NDArray[np.int32], scale: float) -> NDArray[np.int64]:
    """Return boxes of the frame in label pixels, extended to whole pixels."""
    if scale == 1.0:
        return box.astype(np.int64)
    return np.concatenate([np.floor(box[:, :2] * scale), np.ceil(box[:, 2:] * scale)], axis=1).astype(
        np.int64
    )


def _readable(box: NDArray[np.int64], image: Box) -> NDArray[np.bool_]:
    size = box[:, 2:] - box[:, :2]
    sound = np.all((size > 0) & (size <= LARGEST_NUCLEUS_PX), axis=1)
    # one pixel more: a box extended to whole label pixels may cross the edge
    inside = np.all(box >= (image.y0, image.x0) * 2, axis=1) & np.all(
        box <= (image.y1 + 1, image.x1 + 1) * 2, axis=1
    )
    return np.asarray(sound & inside)


def _groups_by_place(box: NDArray[np.int64], index: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the indexed nuclei grouped by a coarse grid, so that one read serves hundreds of them."""
    if not len(index):
        return
    cell = box[index, :2] // READ_PX
    order = np.lexsort((cell[:, 1], cell[:, 0]))
    changes = np.flatnonzero((cell[order[1:]] != cell[order[:-1]]).any(1)) + 1
    yield from np.split(index[order], changes)


def _count(
    ids: NDArray[np.int64], box: NDArray[np.int64], image: Box, read_labels: ReadLabels
) -> NDArray[np.int64]:
    """Return the number of pixels of each id, counted in the box around all boxes."""
    low, high = box[:, :2].min(0), box[:, 2:].max(0)
    labels = read_labels(Box(int(low[0]), int(low[1]), int(high[0]), int(high[1])).intersect(image))
    drawn, pixels = np.unique(labels, return_counts=True)
    place = np.minimum(np.searchsorted(drawn, ids), len(drawn) - 1)
    return np.where(drawn[place] == ids, pixels[place], 0)
