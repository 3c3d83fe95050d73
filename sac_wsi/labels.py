"""The label pyramid, drawn from the table: one task per shard, so no two tasks write one file.

A label pixel is the nucleus whose mask holds the pixel's centre. A coarser level
holds every second pixel of the finer one, drawn anew: cheaper than reading what was just written. A shard
without nuclei is not written: zarr reads it as 0, and that it was meant to be empty stands in the table,
which is complete.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numba import njit
from numpy.typing import NDArray

from sac_wsi.bits import bit_at
from sac_wsi.geometry import Box
from sac_wsi.store import Table, compressor

CHUNK_PX = 1024
SHARD_PX = 4096
FINEST_LABEL_MPP = 0.2


@dataclass(frozen=True)
class LabelFrame:
    """The base level of the pyramid.

    shape_yx          label pixels
    mpp               micrometres per label pixel
    frame_per_label   frame pixels per label pixel
    """

    shape_yx: tuple[int, int]
    mpp: float
    frame_per_label: float

    @property
    def levels(self) -> list[tuple[int, int]]:
        """Shapes from fine to coarse; the last fits a chunk."""
        shapes = [self.shape_yx]
        while max(shapes[-1]) > CHUNK_PX:
            shapes.append((-(-shapes[-1][0] // 2), -(-shapes[-1][1] // 2)))
        return shapes

    def frame_under(self, label_px: NDArray[np.int64]) -> NDArray[np.int64]:
        """The frame pixels, along one axis, that hold the centres of label pixels."""
        return ((label_px + 0.5) * self.frame_per_label).astype(np.int64)

    def to_frame(self, box_label: Box) -> Box:
        """The frame pixels that hold the centres of the box's label pixels."""
        ends = np.array([box_label.y0, box_label.x0, box_label.y1 - 1, box_label.x1 - 1])
        y0, x0, y1, x1 = self.frame_under(ends).tolist()
        return Box(y0, x0, y1 + 1, x1 + 1)


def label_frame(
    slide_shape_yx: tuple[int, int],
    slide_mpp: float,
    frame_shape_yx: tuple[int, int],
    frame_mpp: float,
    downsample: float,
) -> LabelFrame:
    """Level 0 of the slide, or the model's frame where level 0 is finer than anybody draws nuclei."""
    if slide_mpp < FINEST_LABEL_MPP:
        return LabelFrame(frame_shape_yx, frame_mpp, 1.0)
    return LabelFrame(slide_shape_yx, slide_mpp, 1.0 / downsample)


def create_pyramid(store: Path, frame: LabelFrame, name: str) -> None:
    """Empty levels and the attributes that make them an OME-Zarr label image."""
    group = zarr.open_group(store, mode="a")
    datasets: list[Any] = []
    for level, shape in enumerate(frame.levels):
        group.create_array(
            str(level),
            shape=shape,
            chunks=(CHUNK_PX, CHUNK_PX),
            shards=(SHARD_PX, SHARD_PX),
            dtype=np.uint32,
            compressors=compressor(),
            dimension_names=("y", "x"),
        )
        scale = [frame.mpp * 2**level] * 2
        datasets.append(
            {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        )
    axes: list[Any] = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [{"name": name, "axes": axes, "datasets": datasets, "type": "nearest"}],
        "image-label": {"version": "0.5"},
    }


def shards(frame: LabelFrame) -> list[tuple[int, Box]]:
    """Level and place (in that level's pixels) of every shard of the pyramid."""
    return [
        (level, Box(y, x, min(y + SHARD_PX, height), min(x + SHARD_PX, width)))
        for level, (height, width) in enumerate(frame.levels)
        for y in range(0, height, SHARD_PX)
        for x in range(0, width, SHARD_PX)
    ]


@dataclass(frozen=True)
class DrawShard:
    """The task: draw one shard of ``shards(frame)`` from the table."""

    store: Path
    frame: LabelFrame

    def __call__(self, index: int) -> None:
        level, box = shards(self.frame)[index]
        labels = draw_labels(Table(self.store), self.frame, level, box)
        if labels.any():
            # this shard is not empty: looking for empty chunks in it would cost more than it saves
            array: Any = zarr.open_array(
                self.store, path=str(level), mode="r+", config={"write_empty_chunks": True}
            )
            array[box.y0 : box.y1, box.x0 : box.x1] = labels


def draw_labels(table: Table, frame: LabelFrame, level: int, box: Box) -> NDArray[np.uint32]:
    """The labels of a region of one level."""
    labels = np.zeros(box.shape, np.uint32)
    every = 2**level
    base = Box(box.y0 * every, box.x0 * every, (box.y1 - 1) * every + 1, (box.x1 - 1) * every + 1)
    frame_y = frame.frame_under(every * np.arange(box.y0, box.y1))
    frame_x = frame.frame_under(every * np.arange(box.x0, box.x1))
    for some in table.masks_near(frame.to_frame(base)):
        _draw(some.id, some.box, some.mask_start, some.mask_bits, frame_y, frame_x, labels)
    return labels


@njit(cache=True, nogil=True)
def _draw(ids, box, start, bits, frame_y, frame_x, labels):  # type: ignore[no-untyped-def]
    """``frame_y`` and ``frame_x`` are the frame pixels under each row and column of ``labels``, rising."""
    for i in range(len(ids)):
        y0, x0, y1, x1 = box[i]
        if y1 <= frame_y[0] or x1 <= frame_x[0] or y0 > frame_y[-1] or x0 > frame_x[-1]:
            continue
        first_x, last_x = np.searchsorted(frame_x, x0), np.searchsorted(frame_x, x1)
        for y in range(np.searchsorted(frame_y, y0), np.searchsorted(frame_y, y1)):
            row = (frame_y[y] - y0) * (x1 - x0) - x0
            for x in range(first_x, last_x):
                if bit_at(bits, start[i], row + frame_x[x]):
                    labels[y, x] = ids[i]
