"""Find the tissue on a thumbnail of a slide.

    stained | textured | dark ─► minus pen and black ─► remove specks, fill holes ─► add a margin

Pale tissue differs from glass by its colour and texture, averaged over a few pixels; uneven light hides its
difference in brightness. Nothing outside the tissue is segmented, so a doubtful pixel counts as tissue.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from sac_wsi.nuclei.stain import stain_density
from sac_wsi.settings.checks import check_range

if TYPE_CHECKING:
    from sac_wsi.geometry import Box

Bool = NDArray[np.bool_]
Float = NDArray[np.float32]
_EVERYWHERE_DOWNSAMPLE = 256.0


@dataclass(frozen=True, slots=True)
class TissueSettings:
    """Settings of the search for tissue. Densities are optical densities relative to the glass of the slide.

    Attributes:
        um_per_px: Resolution of the thumbnail, in micrometres per pixel.
        smoothing_um: Width over which densities are averaged, in micrometres.
        colour_od: Smoothed difference between channels; above it a pixel is stained.
        texture_od: Local standard deviation; above it a pixel is textured.
        dark_od: Smoothed mean density; above it a pixel is not glass, whatever its colour.
        pen_od: Density; above it the colour can be recognized as ink.
        smooth_od: Local standard deviation; below it red or dark pixels are ink, not blood or tissue.
        black_value: A pixel is black if all its channels (0 to 255) are below this.
        min_mark_um2: Smaller marks are ignored: they may be folds, pigment or dust on tissue.
        mark_margin_um: Width of the margin around pen marks and black areas that is left out too.
        min_tissue_um2: Smaller pieces of tissue are left out.
        max_hole_um2: Smaller holes in the tissue are filled.
        margin_um: Width of the margin that is added around the tissue.
    """

    um_per_px: float = 8.0
    smoothing_um: float = 24.0
    colour_od: float = 0.0045
    texture_od: float = 0.015
    dark_od: float = 0.06
    pen_od: float = 0.15
    smooth_od: float = 0.08
    black_value: int = 60
    min_mark_um2: float = 40_000.0
    mark_margin_um: float = 40.0
    min_tissue_um2: float = 10_000.0
    max_hole_um2: float = 100_000.0
    margin_um: float = 50.0

    def __post_init__(self) -> None:
        check_range("find_tissue.um_per_px", self.um_per_px, above=0)
        for name, value in asdict(self).items():
            check_range(f"find_tissue.{name}", value, at_least=0)

    def px(self, um: float) -> float:
        """Return a length in thumbnail pixels."""
        return um / self.um_per_px

    def px2(self, um2: float) -> float:
        """Return an area in thumbnail pixels."""
        return um2 / self.um_per_px**2


@dataclass(frozen=True, eq=False)
class TissueMask:
    """The part of a slide in which nuclei are searched.

    mask        (h, w) bool, at the resolution of the thumbnail
    downsample  level-0 pixels per mask pixel
    region      polygons that a person drew, in level-0 pixels (x, y); used instead of the mask if given
    flags       what was found: "pen", "black", "empty", "repaired"
    """

    mask: Bool
    downsample: float
    region: Any = None
    flags: tuple[str, ...] = ()

    def covers(self, points_yx_level0: NDArray[np.generic]) -> Bool:
        """Return which of the (N, 2) points y, x lie in the tissue."""
        points = np.asarray(points_yx_level0, np.float64).reshape(-1, 2)
        if self.region is not None:
            return np.asarray(shapely.contains_xy(self.region, points[:, 1], points[:, 0]), np.bool_)
        cells = np.floor(points / self.downsample)
        # the thumbnail has whole pixels only: the rest of the slide counts as its last pixels
        inside = ((cells >= 0) & (cells <= self.mask.shape)).all(axis=1)
        found = np.zeros(len(points), np.bool_)
        at = np.minimum(cells[inside].astype(np.int64), np.array(self.mask.shape) - 1)
        found[inside] = self.mask[at[:, 0], at[:, 1]]
        return found

    def intersects(self, box_level0: Box) -> bool:
        """Return whether any tissue lies in the box."""
        if box_level0.empty:
            return False
        if self.region is not None:
            y0, x0, y1, x1 = box_level0.y0, box_level0.x0, box_level0.y1, box_level0.x1
            return bool(shapely.intersects(self.region, shapely.box(x0, y0, x1, y1)))
        y0, x0 = (max(0, int(v // self.downsample)) for v in (box_level0.y0, box_level0.x0))
        y1, x1 = (max(0, int(-(-v // self.downsample))) for v in (box_level0.y1, box_level0.x1))
        height, width = self.mask.shape
        y0, x0 = (v - 1 if v == length else v for v, length in ((y0, height), (x0, width)))
        return bool(self.mask[y0:y1, x0:x1].any())

    @property
    def fraction(self) -> float:
        """Share of the slide that is tissue."""
        return float(self.mask.mean()) if self.mask.size else 0.0


def whole_slide(shape_yx_level0: tuple[int, int]) -> TissueMask:
    """Return a mask that covers the whole slide.

    >>> whole_slide((1000, 500)).covers(np.array([[0, 0], [999, 499], [-1, 3]])).tolist()
    [True, True, False]
    """
    height, width = (int(-(-side // _EVERYWHERE_DOWNSAMPLE)) for side in shape_yx_level0)
    return TissueMask(np.ones((height, width), np.bool_), _EVERYWHERE_DOWNSAMPLE)


def find_tissue(thumbnail_rgb: NDArray[np.uint8], downsample: float, settings: TissueSettings) -> TissueMask:
    """Return the tissue of a slide.

    Args:
        thumbnail_rgb: (h, w, 3) thumbnail with ``settings.um_per_px``.
        downsample: Level-0 pixels per pixel of the thumbnail.
        settings: Thresholds and sizes.
    """
    density = relative_density(thumbnail_rgb)
    texture = local_deviation(density.mean(axis=2))
    black = black_areas(thumbnail_rgb, texture, settings)
    pen = pen_marks(thumbnail_rgb, density, texture, settings) & ~black
    marks = dilate(pen | black, settings.px(settings.mark_margin_um))
    # removed before the averaging, which would spread the marks beyond their margin
    density[marks] = 0
    tissue = stained_textured_or_dark(density, settings) & ~marks
    tissue = remove_small_pieces(tissue, settings.px2(settings.min_tissue_um2))
    tissue = ~remove_small_pieces(~tissue, settings.px2(settings.max_hole_um2))
    tissue = dilate(tissue, settings.px(settings.margin_um)) & ~marks
    named = {"pen": pen.any(), "black": black.any(), "empty": not tissue.any()}
    return TissueMask(tissue, downsample, flags=tuple(name for name, met in named.items() if met))


def relative_density(rgb: NDArray[np.uint8]) -> Float:
    """Return the (h, w, 3) optical density relative to the glass, so that tinted glass has density 0."""
    glass = glass_colour(rgb)
    table = -np.log10(np.maximum(np.arange(256)[:, None], 1) / glass)
    return np.stack([table.astype(np.float32)[rgb[..., c], c] for c in range(3)], axis=2)


def glass_colour(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the median of bright, nearly grey pixels; a light grey if there are too few of them."""
    low, high = rgb.min(axis=2), rgb.max(axis=2)
    bright = rgb[(low >= 215) & (high - low <= 15)]
    # if all pixels of a crop are tissue, none of them may be taken for glass
    return np.median(bright, axis=0) if len(bright) > 0.02 * low.size else np.full(3, 245.0)


def local_deviation(density: Float) -> Float:
    """Return the standard deviation over 5 x 5 pixels, after a small blur that removes sensor noise."""
    blurred = ndimage.gaussian_filter(density, 1.0, mode="nearest")
    mean = ndimage.uniform_filter(blurred, 5, mode="nearest")
    square = ndimage.uniform_filter(blurred * blurred, 5, mode="nearest")
    return np.asarray(np.sqrt(np.maximum(square - mean * mean, 0)), np.float32)


def stained_textured_or_dark(density: Float, settings: TissueSettings) -> Bool:
    """Return the pixels that are not glass."""
    sigma = settings.px(settings.smoothing_um) / 2
    smooth = ndimage.gaussian_filter(density, (sigma, sigma, 0), mode="nearest")
    colour = smooth.max(axis=2) - smooth.min(axis=2)
    return np.asarray(
        (colour > settings.colour_od)
        | (local_deviation(density.mean(axis=2)) > settings.texture_od)
        | (smooth.mean(axis=2) > settings.dark_od),
        np.bool_,
    )


def black_areas(rgb: NDArray[np.uint8], texture: Float, settings: TissueSettings) -> Bool:
    """Return nearly black areas without texture: frames of the scanner, black marker."""
    black = rgb.max(axis=2) < settings.black_value
    return remove_small_pieces(smooth_areas(black, texture, settings), settings.px2(settings.min_mark_um2))


def pen_marks(rgb: NDArray[np.uint8], density: Float, texture: Float, settings: TissueSettings) -> Bool:
    """Return areas of blue, green and red ink."""
    stains = ndimage.gaussian_filter(stain_density(rgb), (1, 1, 0), mode="nearest")
    # haematoxylin and negative eosin: a colour that no H&E tissue has
    ink = (stains[..., 0] > settings.pen_od) & (stains[..., 1] < -0.15 * stains[..., 0])
    red, green, blue = (density[..., c] for c in range(3))
    bright_red = (green > 0.5) & (blue > 0.75 * green) & (red < 0.25 * green)
    ink |= smooth_areas(bright_red, texture, settings)
    return remove_small_pieces(ink, settings.px2(settings.min_mark_um2))


def smooth_areas(coloured: Bool, texture: Float, settings: TissueSettings) -> Bool:
    """Return the coloured areas with a smooth core, up to their edges, which are never smooth."""
    core = coloured & (texture < settings.smooth_od)
    return np.asarray(ndimage.binary_propagation(core, mask=coloured), np.bool_)


def remove_small_pieces(mask: Bool, smaller_than_px: float) -> Bool:
    """Return the mask without its 4-connected pieces of fewer pixels."""
    pieces, _ = ndimage.label(mask)
    keep = np.bincount(pieces.ravel()) >= smaller_than_px
    keep[0] = False
    return np.asarray(keep[pieces], np.bool_)


def dilate(mask: Bool, reach_px: float) -> Bool:
    """Return the pixels at most ``reach_px`` pixels away from the mask."""
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask) <= reach_px, np.bool_)
