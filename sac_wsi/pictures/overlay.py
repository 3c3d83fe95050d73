"""Draw on RGB images: outlines of nuclei, and a map of their density."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from sac_wsi.nuclei.table import MEASUREMENTS, NucleusRows

if TYPE_CHECKING:
    from collections.abc import Iterator

Rgb = NDArray[np.uint8]
"""(height, width, 3)"""

OUTLINE = (0, 230, 90)
"""A green that is unlike haematoxylin and eosin."""

_SUPERSAMPLING = 2
_CENTROID_XY = [MEASUREMENTS.index("Centroid X µm"), MEASUREMENTS.index("Centroid Y µm")]
_UM2_PER_MM2 = 1e6
_OPACITY = 0.75
_INFERNO = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
_LEGEND_PX = 96
_BAR_PX = 14


def draw_outlines(
    rgb: Rgb,
    corner_yx_px: tuple[float, float],
    px_per_level0: float,
    rows: NucleusRows,
    color: tuple[int, int, int] = OUTLINE,
    width: int = 1,
) -> Rgb:
    """Return a copy of ``rgb`` with the outlines of the nuclei that lie in it, fully or in part.

    Lines are drawn at twice the resolution and averaged, which makes them thin and smooth.

    Args:
        rgb: The picture.
        corner_yx_px: Its top left corner in level-0 pixels.
        px_per_level0: Its pixels per level-0 pixel.
        rows: Nuclei; their polygons are in level-0 pixels.
        color: Colour of the outlines.
        width: Line width in pixels of the picture.
    """
    height, image_width = rgb.shape[:2]
    drawn = Image.new("L", (_SUPERSAMPLING * image_width, _SUPERSAMPLING * height))
    pen = ImageDraw.Draw(drawn)
    for ring_px in _rings_in_view(rows, corner_yx_px, px_per_level0, (height, image_width)):
        closed = np.concatenate([ring_px, ring_px[:1]]) * _SUPERSAMPLING
        pen.line(closed.ravel().tolist(), fill=255, width=_SUPERSAMPLING * width, joint="curve")
    return _blend(rgb, np.array(color, np.float64), np.asarray(drawn.reduce(_SUPERSAMPLING)) / 255)


def _rings_in_view(
    rows: NucleusRows, corner_yx_px: tuple[float, float], px_per_level0: float, shape_yx: tuple[int, int]
) -> Iterator[NDArray[np.float64]]:
    """Yield each ring as (V, 2) x, y in pixels of the picture."""
    for i in range(len(rows)):
        ring_px = (rows.polygon_px(i) - (corner_yx_px[1], corner_yx_px[0])) * px_per_level0
        low, high = ring_px.min(axis=0), ring_px.max(axis=0)
        if (high >= 0).all() and (low <= (shape_yx[1], shape_yx[0])).all():
            yield ring_px


class DensityMap:
    """Counts nuclei per mm² on a thumbnail. Memory depends on the thumbnail, not on the number of nuclei."""

    def __init__(self, shape_yx: tuple[int, int], um_per_px: float) -> None:
        self.um_per_px = um_per_px
        self._count = np.zeros(shape_yx, np.int64)

    def add(self, rows: NucleusRows) -> None:
        """Count the centroids of ``rows``; leave out those that are NaN or outside the thumbnail."""
        xy_px = rows.measurements[:, _CENTROID_XY].astype(np.float64) / self.um_per_px
        height, width = self._count.shape
        inside = np.all((xy_px >= 0) & (xy_px < (width, height)), axis=1)
        x, y = xy_px[inside].astype(np.int64).T
        self._count += np.bincount(y * width + x, minlength=height * width).reshape(height, width)

    def per_mm2(self, sigma_um: float = 50.0) -> NDArray[np.float64]:
        """Return the density smoothed by a Gaussian; the map is mirrored at its edges, so the sum is kept."""
        smooth = gaussian_filter(self._count.astype(np.float64), sigma_um / self.um_per_px, mode="reflect")
        return np.asarray(smooth * (_UM2_PER_MM2 / self.um_per_px**2))

    def draw(self, thumbnail: Rgb, sigma_um: float = 50.0) -> Rgb:
        """Return the thumbnail with the density in colour over it and a legend to its right."""
        if thumbnail.shape[:2] != self._count.shape:
            raise ValueError(
                f"thumbnail is {thumbnail.shape[:2]}, the map {self._count.shape}: need the same"
            )
        density = self.per_mm2(sigma_um)
        highest = _round_up(float(np.percentile(density, 99.9)))
        part = np.clip(density / highest, 0, 1)
        # low densities are nearly transparent, so that empty glass keeps its colour
        opacity = _OPACITY * np.minimum(1, 10 * part)
        colours = _colour_table()[np.rint(part * 255).astype(np.intp)]
        return np.concatenate([_blend(thumbnail, colours, opacity), _legend(len(thumbnail), highest)], axis=1)


def _blend(rgb: Rgb, colour: NDArray[np.float64], opacity: NDArray[np.float64]) -> Rgb:
    share = opacity[..., None]
    mixed: NDArray[np.float64] = rgb * (1 - share) + colour * share
    return np.rint(mixed).astype(np.uint8)


def _colour_table() -> NDArray[np.float64]:
    """Return (256, 3) colours close to matplotlib's inferno, interpolated between six of its colours."""
    anchors = np.array(_INFERNO, np.float64)
    at = np.linspace(0, len(anchors) - 1, 256)
    return np.stack([np.interp(at, np.arange(len(anchors)), channel) for channel in anchors.T], axis=1)


def _round_up(value: float) -> float:
    """Return the next number of 1, 2, 5, 10, 20, ..., for a readable legend; 1 for an empty map.

    >>> _round_up(1234.0)
    2000.0
    """
    if value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if value <= step * power * (1 + 1e-9)))


def _legend(height: int, highest: float) -> Rgb:
    """Return a strip with the colour bar and its scale. It says mm^2 because Pillow's font has no ²."""
    strip = np.full((height, _LEGEND_PX, 3), 255, np.uint8)
    margin = min(24, height // 4)
    steps = np.linspace(255, 0, max(1, height - 2 * margin))
    strip[margin : margin + len(steps), 8 : 8 + _BAR_PX] = _colour_table()[np.rint(steps).astype(np.intp)][
        :, None
    ]
    image = Image.fromarray(strip)
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(11)
    pen.text((8, margin / 2), "nuclei/mm^2", fill=(0, 0, 0), font=font, anchor="lm")
    for share in (1.0, 0.5, 0.0):
        y = margin + (1 - share) * len(steps)
        pen.text((12 + _BAR_PX, y), f"{highest * share:,g}", fill=(0, 0, 0), font=font, anchor="lm")
    return np.asarray(image)
