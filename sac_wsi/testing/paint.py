"""Paint the pixels of a synthetic slide: first the amounts of the stains, then the colours.

The three bytes of a pixel first hold its haematoxylin, its eosin and a chromatin texture, and are then
replaced by red, green and blue, so no other memory is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from sac_wsi.testing.ellipse import beyond_cut, outline, quadratic_form, reach
from sac_wsi.testing.noise import noise_row
from sac_wsi.testing.tissue import cover_row

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OD_UNIT = 100.0
"""Bytes per unit of natural optical density."""

_HAEMATOXYLIN_RGB = (0.60, 0.72, 0.34)
_EOSIN_RGB = (0.10, 0.76, 0.38)
_GLASS_RGB = (244.0, 243.0, 245.0)


def transmission_tables() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (3, 256) light after a byte of haematoxylin, and (3, 256) the share that passes eosin."""
    density = np.arange(256) / _OD_UNIT
    after_h = np.array(_GLASS_RGB)[:, None] * np.exp(-np.outer(_HAEMATOXYLIN_RGB, density))
    return after_h.astype(np.float32), np.exp(-np.outer(_EOSIN_RGB, density)).astype(np.float32)


@njit(cache=True, nogil=True)
def render_into(
    out: Any, corner_yx: Any, seed: int, coarse: int, tissue: Any, ellipses: Any, tables: Any
) -> None:
    """Fill ``out`` (h, w, 3) with the RGB pixels of the region with the corner ``corner_yx``.

    ``ellipses`` are all nuclei near the region. ``coarse`` is added to the log2 of the sizes of all textures.
    ``tables`` are those of ``transmission_tables``.
    """
    y0, x0 = corner_yx
    h, e = tables
    _stain_stroma(out, y0, x0, seed, coarse, tissue)
    for i in range(len(ellipses)):
        _stain_nucleus(out, y0, x0, ellipses[i])
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            haematoxylin, eosin = out[y, x, 0], out[y, x, 1]
            for channel in range(3):
                out[y, x, channel] = np.uint8(h[channel, haematoxylin] * e[channel, eosin] + np.float32(0.5))


@njit(cache=True, nogil=True)
def _unit(value: Any) -> Any:
    return min(max(value, np.float32(0)), np.float32(1))


@njit(cache=True, nogil=True)
def _as_byte(density: Any) -> Any:
    return np.uint8(min(max(density * np.float32(_OD_UNIT), np.float32(0)), np.float32(255)))


@njit(cache=True, nogil=True)
def _stain_stroma(out: Any, y0: int, x0: int, seed: int, coarse: int, tissue: Any) -> None:
    """Paint wavy pink fibres with white gaps between them."""
    width = out.shape[1]
    rows = np.empty((6, width), np.float32)
    field, bundle, fibre, grain, chromatin, cover = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]
    phase_per_px = np.float32(1.0 / (1 << max(coarse + 6, 0)))
    for row in range(out.shape[0]):
        y = y0 + row
        noise_row(seed + 11, y, x0, max(coarse + 9, 0), field)
        noise_row(seed + 12, y, x0, max(coarse + 6, 0), bundle)
        noise_row(seed + 13, y, x0, max(coarse + 3, 0), fibre)
        noise_row(seed + 14, y, x0, max(coarse + 1, 0), grain)
        noise_row(seed + 15, y, x0, max(coarse + 2, 0), chromatin)
        cover_row(tissue, y, x0, out=cover, fine=np.empty_like(cover))
        for x in range(width):
            # a sawtooth of a smooth phase: its teeth are fibres along the contours of the noise fields
            phase = (
                field[x] * np.float32(9)
                + bundle[x] * np.float32(2.2)
                + np.float32(y & 0xFFFFF) * phase_per_px
            )
            saw = np.float32(2) * abs(phase - np.floor(phase) - np.float32(0.5))
            cleft = _unit((field[x] - np.float32(0.55)) * np.float32(6)) * _unit(
                (np.float32(0.22) - saw + (fibre[x] - np.float32(0.5)) * np.float32(0.3)) * np.float32(7)
            )
            eosin = np.float32(0.30) + np.float32(0.22) * saw + np.float32(0.16) * bundle[x]
            eosin += np.float32(0.16) * (fibre[x] - np.float32(0.5)) + np.float32(0.08) * grain[x]
            present = cover[x] * (np.float32(1) - np.float32(0.93) * cleft)
            haze = np.float32(0.05) + np.float32(0.10) * bundle[x] * field[x]
            out[row, x, 0] = _as_byte(haze * present)
            out[row, x, 1] = _as_byte(eosin * present)
            out[row, x, 2] = np.uint8(chromatin[x] * np.float32(180) + grain[x] * np.float32(75))


@njit(cache=True, nogil=True)
def _stain_nucleus(out: Any, y0: int, x0: int, e: Any) -> None:
    """Paint a nucleus: clumped haematoxylin, dense at the membrane, with a soft edge of one pixel."""
    clip = (y0, x0, y0 + out.shape[0], x0 + out.shape[1])
    top, left, bottom, right = reach(e, 1, clip)
    pale = np.float32(e.ink * e.ink)
    shape = outline(e)
    body = np.float32(1.30) - np.float32(0.70) * pale
    clumps = np.float32(0.45) + np.float32(0.45) * pale
    for y in range(top, bottom):
        for x in range(left, right):
            form = np.float32(quadratic_form(shape, y - shape.cy, x - shape.cx))
            inwards_px = (np.float32(1) - form) * np.float32(0.5 * shape.minor)
            alpha = _unit(np.float32(0.5) + np.float32(0.5) * inwards_px)
            if shape.side:
                alpha *= _unit(np.float32(0.5 + 0.7 * shape.side * beyond_cut(shape, y, x)))
            if alpha <= 0:
                continue
            here = out[y - y0, x - x0]
            texture = np.float32(here[2]) * np.float32(1 / 255) - np.float32(0.5)
            membrane = np.float32(0.30) * pale * _unit((form - np.float32(0.6)) * np.float32(3))
            density = body * (np.float32(1) + clumps * texture) + membrane
            beneath = np.float32(here[0]) * np.float32(1 / _OD_UNIT)
            here[0] = _as_byte(max(beneath, density * alpha))
            eosin = np.float32(here[1]) * np.float32(1 / _OD_UNIT)
            here[1] = _as_byte(eosin + (np.float32(0.22) - eosin) * alpha)
