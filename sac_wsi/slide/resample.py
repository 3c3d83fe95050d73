"""Resample by area average or bilinear interpolation; a pixel depends only on its global position.

Weights are computed in global coordinates and summed in one fixed order, so an image read in parts equals the
image read at once, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sac_wsi.slide.protocol import Rgb


@dataclass(frozen=True, slots=True)
class Taps:
    """For each output pixel along one axis: the first source pixel (global) and the weights from there on."""

    first: NDArray[np.int64]
    weight: NDArray[np.float32]


def source_span(start: int, stop: int, ratio: float, length: int) -> tuple[int, int]:
    """Return the source pixels that output pixels [start, stop) need, within ``length`` pixels; never empty.

    >>> source_span(10, 20, 2.0, 1000), source_span(0, 3, 0.5, 1000)
    ((20, 40), (0, 3))
    """
    low = floor(start * ratio) - (ratio < 1)
    high = ceil(stop * ratio) + (ratio < 1)
    low = min(max(low, 0), length - 1)
    return low, min(max(high, low + 1), length)


def axis_taps(start: int, stop: int, ratio: float) -> Taps:
    """Return the weights of output pixels [start, stop).

    They are shares of area if the output is coarser (``ratio`` >= 1), bilinear if it is finer.
    """
    output = np.arange(start, stop, dtype=np.float64)
    if ratio < 1:
        centre = (output + 0.5) * ratio - 0.5
        first = np.floor(centre)
        share = centre - first
        weight = np.stack([1 - share, share], axis=1)
        return Taps(first.astype(np.int64), weight.astype(np.float32))
    low, high = output * ratio, (output + 1) * ratio
    first = np.floor(low)
    left = first[:, None] + np.arange(ceil(ratio) + 1)
    covered = np.minimum(left + 1, high[:, None]) - np.maximum(left, low[:, None])
    weight = np.maximum(covered, 0) / ratio
    return Taps(first.astype(np.int64), weight.astype(np.float32))


def resample(
    source: Rgb, corner_yx: tuple[int, int], ratio: float, start_yx: tuple[int, int], out: Rgb
) -> None:
    """Fill ``out`` with the resampled ``source``. Outside the source its edge pixels are repeated.

    Args:
        source: (h, w, 3) pixels of the level.
        corner_yx: Position of the source's first pixel in the level.
        ratio: Source pixels per output pixel.
        start_yx: Position of the first pixel of ``out`` in the output.
        out: (h, w, 3), overwritten.
    """
    height, width = out.shape[:2]
    whole = round(ratio)
    if whole == ratio:  # depends on the ratio only, never on the box: the two methods round differently
        offset_yx = (start_yx[0] * whole - corner_yx[0], start_yx[1] * whole - corner_yx[1])
        needed = (offset_yx[0] + height * whole, offset_yx[1] + width * whole)
        _shrink_whole(_extended(source, needed), offset_yx[0], offset_yx[1], whole, out)
        return
    y = axis_taps(start_yx[0], start_yx[0] + height, ratio)
    x = axis_taps(start_yx[1], start_yx[1] + width, ratio)
    rows = np.empty((source.shape[0], width, 3), np.float32)
    _along_x(source, x.first - corner_yx[1], x.weight, rows)
    _along_y(rows, y.first - corner_yx[0], y.weight, out)


def _extended(source: Rgb, shape_yx: tuple[int, int]) -> Rgb:
    """Return the source with its last row and column repeated up to a shape; a level can be a pixel short."""
    below, right = (max(0, n - have) for n, have in zip(shape_yx, source.shape[:2], strict=True))
    return np.pad(source, ((0, below), (0, right), (0, 0)), mode="edge") if below or right else source


@njit(cache=True, nogil=True)
def _shrink_whole(source: Rgb, offset_y: int, offset_x: int, ratio: int, out: Rgb) -> None:
    """Write the means of ratio x ratio squares as integers, halves rounded up."""
    count = ratio * ratio
    sums = np.empty((out.shape[1], 3), np.int64)
    for y in range(out.shape[0]):
        sums[:] = count // 2
        for dy in range(ratio):
            row = source[offset_y + y * ratio + dy]
            for x in range(out.shape[1]):
                for dx in range(ratio):
                    for c in range(3):
                        sums[x, c] += row[offset_x + x * ratio + dx, c]
        for x in range(out.shape[1]):
            for c in range(3):
                out[y, x, c] = sums[x, c] // count


@njit(cache=True, nogil=True)
def _along_x(
    source: Rgb, first: NDArray[np.int64], weight: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    last = source.shape[1] - 1
    for y in range(source.shape[0]):
        for x in range(len(first)):
            r = g = b = np.float32(0)
            for k in range(weight.shape[1]):
                at = min(max(first[x] + k, 0), last)
                w = weight[x, k]
                r += w * np.float32(source[y, at, 0])
                g += w * np.float32(source[y, at, 1])
                b += w * np.float32(source[y, at, 2])
            out[y, x, 0] = r
            out[y, x, 1] = g
            out[y, x, 2] = b


@njit(cache=True, nogil=True)
def _along_y(
    rows: NDArray[np.float32], first: NDArray[np.int64], weight: NDArray[np.float32], out: Rgb
) -> None:
    last = rows.shape[0] - 1
    sums = np.empty((out.shape[1], 3), np.float32)
    for y in range(out.shape[0]):
        sums[:] = np.float32(0.5)  # floor(sum + 0.5): halves round up, as in _shrink_whole
        for k in range(weight.shape[1]):
            w = weight[y, k]
            if w != 0:
                row = rows[min(max(first[y] + k, 0), last)]
                for x in range(out.shape[1]):
                    for c in range(3):
                        sums[x, c] += w * row[x, c]
        for x in range(out.shape[1]):
            for c in range(3):
                out[y, x, c] = np.uint8(min(max(sums[x, c], np.float32(0)), np.float32(255)))
