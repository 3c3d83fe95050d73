"""Draw the label pyramid from the table of nuclei. No two tasks write the same shard, which is one file.

A label pixel has the id of the nucleus whose mask holds the pixel's centre, or 0. A coarser level holds every
second pixel of the finer one. A shard without nuclei is not written, because zarr reads a missing shard as
0; whether it should be empty can be checked with the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numba import njit

from sac_wsi.geometry import Box
from sac_wsi.nuclei.masks import bit_at
from sac_wsi.store.columns import Table, compressor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sac_wsi.slide.frame import Frame

CHUNK_PX = 1024
SHARD_PX = 2048
FINEST_LABEL_MPP = 0.2
"""Label images are not drawn finer than this, in µm per pixel."""


@dataclass(frozen=True)
class LabelFrame:
    """The base level of the pyramid.

    Attributes:
        shape_yx: Label pixels.
        mpp: Micrometres per label pixel.
        frame_per_label: Frame pixels per label pixel.
    """

    shape_yx: tuple[int, int]
    mpp: float
    frame_per_label: float

    @property
    def levels(self) -> list[tuple[int, int]]:
        """Shapes of the levels from fine to coarse; the last one fits into one chunk."""
        shapes = [self.shape_yx]
        while max(shapes[-1]) > CHUNK_PX:
            shapes.append((-(-shapes[-1][0] // 2), -(-shapes[-1][1] // 2)))
        return shapes

    def frame_under(self, label_px: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the frame pixels, along one axis, that hold the centres of label pixels."""
        return ((label_px + 0.5) * self.frame_per_label).astype(np.int64)

    def to_frame(self, box_label: Box) -> Box:
        """Return the box of frame pixels that hold the centres of the box's label pixels."""
        ends = np.array([box_label.y0, box_label.x0, box_label.y1 - 1, box_label.x1 - 1])
        y0, x0, y1, x1 = self.frame_under(ends).tolist()
        return Box(y0, x0, y1 + 1, x1 + 1)


def label_frame(slide_shape_yx: tuple[int, int], slide_mpp: float, frame: Frame) -> LabelFrame:
    """Return level 0 of the slide, or the model's frame if level 0 is finer than ``FINEST_LABEL_MPP``."""
    if slide_mpp < FINEST_LABEL_MPP:
        return LabelFrame(frame.shape_yx, frame.mpp, 1.0)
    return LabelFrame(slide_shape_yx, slide_mpp, 1.0 / frame.downsample)


def create_pyramid(store: Path, frame: LabelFrame, name: str) -> None:
    """Write empty levels, and the attributes of an OME-Zarr label image."""
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


def parts(frame: LabelFrame) -> list[tuple[int, Box]]:
    """Return the parts that are drawn by one task each: a level, and a box of 2 x 2 of its shards.

    A task also writes the shard of the next level that these four make, so every second level is not drawn
    again. If a level is a single part, its task writes all coarser levels.
    """
    found: list[tuple[int, Box]] = []
    for level, shape in list(enumerate(frame.levels))[::2]:
        found += [(level, box) for box in _cut(Box.of_shape(shape), 2 * SHARD_PX)]
        if max(shape) <= 2 * SHARD_PX:
            break
    return found


def _cut(whole: Box, side: int) -> list[Box]:
    return [
        Box(y, x, y + side, x + side).intersect(whole)
        for y in range(whole.y0, whole.y1, side)
        for x in range(whole.x0, whole.x1, side)
    ]


@dataclass(frozen=True)
class DrawLabels:
    """The task: draw one of ``parts(frame)`` from the table, and the coarser levels made from it."""

    store: Path
    frame: LabelFrame

    def __call__(self, index: int) -> None:
        """Draw part number ``index``."""
        level, box = parts(self.frame)[index]
        labels = draw_labels(Table(self.store), self.frame, level, box)
        shapes = self.frame.levels
        last = len(shapes) - 1 if max(shapes[level]) <= 2 * SHARD_PX else min(level + 1, len(shapes) - 1)
        for at in range(level, last + 1):
            step = 2 ** (at - level)
            self._write(at, (box.y0 // step, box.x0 // step), labels[::step, ::step])

    def _write(self, level: int, corner_yx: tuple[int, int], labels: NDArray[np.uint32]) -> None:
        # looking for empty chunks within a shard would cost more time than it saves
        with zarr.config.set({"array.write_empty_chunks": True}):  # `open_array` ignores its `config`
            array: Any = zarr.open_array(self.store, path=str(level), mode="r+")
        y, x = corner_yx
        for shard in _cut(Box.of_shape(labels.shape), SHARD_PX):
            values = labels[shard.y0 : shard.y1, shard.x0 : shard.x1]
            if values.any():
                array[y + shard.y0 : y + shard.y1, x + shard.x0 : x + shard.x1] = values


def draw_labels(table: Table, frame: LabelFrame, level: int, box: Box) -> NDArray[np.uint32]:
    """Return the labels of a box of one level."""
    labels = np.full(
        box.shape, 0, np.uint32
    )  # `full`, not `zeros`: it takes less memory where huge pages are on
    every = 2**level
    base = Box(box.y0 * every, box.x0 * every, (box.y1 - 1) * every + 1, (box.x1 - 1) * every + 1)
    frame_y = frame.frame_under(every * np.arange(box.y0, box.y1))
    frame_x = frame.frame_under(every * np.arange(box.x0, box.x1))
    for some in table.masks_near(frame.to_frame(base)):
        _draw(some.id, some.box, some.mask_start, some.mask_bits, frame_y, frame_x, labels)
    return labels


@njit(cache=True, nogil=True)
def _draw(ids, box, start, bits, frame_y, frame_x, labels):  # type: ignore[no-untyped-def]
    """Write the ids into ``labels``.

    ``frame_y`` and ``frame_x`` are the frame pixels under each row and column of ``labels``, ascending.
    """
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
