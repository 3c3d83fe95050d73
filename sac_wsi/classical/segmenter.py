"""Find nuclei without weights: haematoxylin, a local threshold, and cuts into ellipses.

    rgb ─► haematoxylin ─► local threshold ─► mask ─► relief ─► seeds ─► watershed ─► nuclei

The relief is the contrast to the surroundings plus the depth inside the mask. Its component tree (the
connected regions above each height) holds all possible cuts of a clump along that relief. The pieces that
fill ellipses best are the seeds.

All sums are sums of integers over a window around a pixel, and nothing is measured on a whole tile. So
two tiles that hold the same surroundings of a clump find the same nuclei in it, bit for bit. Only a clump
that reaches beyond a tile (a fold, a sheet of keratin) may be cut differently in the next tile.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from scipy import ndimage
from skimage.segmentation import watershed

from sac_wsi.classical.ellipses import best_ellipses, component_tree, ellipse_fill, label_sums
from sac_wsi.nuclei.columns import Nuclei
from sac_wsi.nuclei.masks import nuclei_from_labels
from sac_wsi.nuclei.stain import stain_density
from sac_wsi.settings.checks import check_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sac_wsi.tiling.segmenter import RgbTile

_ALGORITHM = 1  # part of the fingerprint: increase it with any change that can change the nuclei
_PER_OD = 1000  # densities are whole thousandths, so that window sums are exact
_STEPS = 100  # heights of the relief per unit of contrast
_PASSES = 2
_HALF_SCORE_OD = 0.03  # contrast over the threshold at which a perfect ellipse scores 0.5
_INK_EOSIN, _INK_OD, _INK_BLACK = -0.15, 1.5, 40


_MPP_RANGE_UM = (0.05, 2.0)
"""Finer is not needed, and coarser shows no nuclei."""


@dataclass(frozen=True, slots=True)
class ClassicalSettings:
    """Settings of the classical method, tuned by ``benchmarks/classical_quality.py``.

    Attributes:
        mpp: Micrometres per pixel at which tiles are read.
        sigma_um: Width (standard deviation) of the smoothing of the density, in micrometres.
        window_um: Side of the window of the local threshold; the threshold of a pixel depends on what lies
            within 1.5 times this.
        offset_od: Added to the threshold, so that noise in even tissue stays below it.
        min_od: No nucleus is paler than this.
        even_od: Contrast of nuclei to tissue; below it tissue counts as even.
        opening_um: Structures thinner than twice this are not nuclei.
        max_hole_area_um2: Smaller holes in the mask are filled.
        seed_area_um2: Smallest area of the part of a nucleus from which it is grown.
        min_area_um2: Smaller objects are dropped.
        max_area_um2: Larger objects are dropped.
        depth_sigma_um: Width (standard deviation) of the smoothing of the depth inside the mask.
        depth_weight_per_um: Height added to the relief per micrometre of depth inside the mask.
        ellipse_power: The higher it is, the sooner a clump is cut into nuclei.
        min_score: Objects with a lower score are dropped.
    """

    mpp: float = 0.5
    sigma_um: float = 0.5
    window_um: float = 14.0
    offset_od: float = 0.01
    min_od: float = 0.12
    even_od: float = 0.25
    opening_um: float = 0.75
    max_hole_area_um2: float = 15.0
    seed_area_um2: float = 5.0
    min_area_um2: float = 6.0
    max_area_um2: float = 400.0
    depth_sigma_um: float = 0.5
    depth_weight_per_um: float = 0.2
    ellipse_power: float = 32.0
    min_score: float = 0.4

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            check_range(f"classical.{name}", value, at_least=0)
        low, high = _MPP_RANGE_UM
        check_range("classical.mpp", self.mpp, at_least=low, at_most=high)
        check_range("classical.min_area_um2", self.min_area_um2, below=self.max_area_um2)

    def px(self, um: float) -> float:
        """Convert micrometres to pixels."""
        return um / self.mpp

    def px2(self, um2: float) -> float:
        """Convert square micrometres to square pixels."""
        return um2 / self.mpp**2


@dataclass(frozen=True, slots=True)
class ClassicalSegmenter:
    """Segmenter that uses stain and shape; it needs no weights and no GPU."""

    settings: ClassicalSettings = field(default_factory=ClassicalSettings)

    @property
    def name(self) -> str:
        """Name for people and provenance."""
        return "classical"

    @property
    def mpp(self) -> float:
        """Micrometres per pixel of its tiles."""
        return self.settings.mpp

    @property
    def fingerprint(self) -> str:
        """Hash of the settings; part of every UUID."""
        text = json.dumps([self.name, _ALGORITHM, asdict(self.settings)], sort_keys=True)
        return sha256(text.encode()).hexdigest()

    def segment(self, tiles: Sequence[RgbTile]) -> list[Nuclei]:
        """Return the nuclei of each tile, in frame coordinates."""
        return [segment_tile(tile, self.settings) for tile in tiles]


def segment_tile(tile: RgbTile, settings: ClassicalSettings) -> Nuclei:
    """Return the nuclei of one tile, in frame coordinates."""
    density = haematoxylin(tile.rgb, settings)
    threshold, contrast = local_threshold(density, settings)
    mask = nuclear_mask(density > threshold, settings)
    if not mask.any():
        return Nuclei.empty()
    relief = relief_of(mask, (density - threshold) / contrast, settings)
    labels = watershed(-relief.astype(np.int32), ellipse_seeds(relief, mask, settings), mask=mask)
    labels, scores = plausible(labels.astype(np.int32), density - threshold, settings)
    return nuclei_from_labels(labels, (tile.read.y0, tile.read.x0), scores)


def haematoxylin(rgb: NDArray[np.uint8], settings: ClassicalSettings) -> NDArray[np.int32]:
    """Return the smoothed haematoxylin density (h, w) in thousandths, 0 at colours of ink."""
    sigma = settings.px(settings.sigma_um)
    stains = ndimage.gaussian_filter(stain_density(rgb), (sigma, sigma, 0), mode="nearest")
    density, eosin = stains[..., 0], stains[..., 1]
    # blue and green ink look like haematoxylin with negative eosin; fewer than 0.1 % of the pixels of
    # labelled nuclei do, and as few are darker than the limits
    ink = (eosin < _INK_EOSIN * density) | (density > _INK_OD)
    ink |= np.maximum(np.maximum(rgb[..., 0], rgb[..., 1]), rgb[..., 2]) < _INK_BLACK
    return np.asarray(np.where(ink, 0, np.maximum(np.rint(density * _PER_OD), 0)), np.int32)


def local_threshold(
    density: NDArray[np.int32], settings: ClassicalSettings
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the threshold (h, w), midway between the means of nuclei and tissue, and their contrast (h, w).

    It starts at the mean of the window; each pass takes the means on the two sides of the last threshold
    (Ridler & Calvard 1978, per pixel). All are in thousandths.
    """
    radius = max(1, round(settings.px(settings.window_um / 2)))
    floor = settings.min_od * _PER_OD
    pixels, total = _window_sums(np.ones_like(density), radius), _window_sums(density, radius)
    threshold = np.maximum(total / pixels, floor)
    for _ in range(_PASSES):
        dark = (density > threshold).astype(np.int32)
        dark_pixels, dark_total = _window_sums(dark, radius), _window_sums(dark * density, radius)
        nuclei = np.where(dark_pixels > 0, dark_total / np.maximum(dark_pixels, 1), floor)
        tissue = (total - dark_total) / np.maximum(pixels - dark_pixels, 1)
        threshold = np.maximum((nuclei + tissue) / 2, floor)
    contrast = np.maximum(nuclei - tissue, settings.even_od * _PER_OD)
    return np.rint(threshold + settings.offset_od * _PER_OD).astype(np.int32), contrast.astype(np.float32)


def nuclear_mask(dark: NDArray[np.bool_], settings: ClassicalSettings) -> NDArray[np.bool_]:
    """Return the mask of nuclei: small holes filled (pale nuclei have dark rims), thin structures removed."""
    holes, _ = ndimage.label(~dark)
    small = np.bincount(holes.ravel()) < settings.px2(settings.max_hole_area_um2)
    small[0] = True  # dark pixels are kept
    radius = settings.px(settings.opening_um)
    reach = np.arange(-int(radius), int(radius) + 1)
    disc = reach[:, None] ** 2 + reach**2 <= radius**2
    opened: NDArray[np.bool_] = ndimage.binary_opening(small[holes], disc)
    return opened


def relief_of(
    mask: NDArray[np.bool_], contrast: NDArray[np.floating[Any]], settings: ClassicalSettings
) -> NDArray[np.uint16]:
    """Return the relief (h, w): contrast plus weighted depth, in steps."""
    depth_px = ndimage.distance_transform_edt(mask).astype(np.float32)
    depth_px = ndimage.gaussian_filter(depth_px, settings.px(settings.depth_sigma_um), mode="nearest")
    height = 0.5 + contrast + depth_px * settings.mpp * settings.depth_weight_per_um
    return np.asarray(np.clip(np.rint(height * _STEPS), 0, 65535), np.uint16)


def ellipse_seeds(
    relief: NDArray[np.uint16], mask: NDArray[np.bool_], settings: ClassicalSettings
) -> NDArray[np.int32]:
    """Return seeds (h, w): disjoint components of the tree with the largest sum of area x fill^power."""
    inside = np.flatnonzero(mask)
    order = inside[np.argsort(relief.ravel()[inside], kind="stable")]
    parent = component_tree(relief, order)
    smallest, largest = settings.px2(settings.seed_area_um2), settings.px2(settings.max_area_um2)
    chosen = best_ellipses(relief, order, parent, smallest, largest, settings.ellipse_power)
    seeds = np.zeros(relief.size, np.int32)
    seeds[order] = chosen
    return seeds.reshape(relief.shape)


def plausible(
    labels: NDArray[np.int32], contrast: NDArray[np.int32], settings: ClassicalSettings
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the labels with the size and score of a nucleus, renumbered 1..n, and their scores.

    A score is the fill of the ellipse times a saturating function of the contrast over the threshold.
    """
    rows = label_sums(labels, contrast, int(labels.max()))
    area = np.maximum(rows[:, 0], 1)
    mean_od = np.maximum(rows[:, 6] / area / _PER_OD, 0)
    score = np.array([ellipse_fill(row) for row in rows]) * mean_od / (mean_od + _HALF_SCORE_OD)
    smallest, largest = settings.px2(settings.min_area_um2), settings.px2(settings.max_area_um2)
    keep = (rows[:, 0] >= smallest) & (rows[:, 0] <= largest) & (score >= settings.min_score)
    keep[0] = False
    renumber = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return renumber[labels], score[keep].astype(np.float32)


@njit(cache=True, nogil=True)
def _window_sums(values: Any, radius: int) -> Any:
    """Sum over (2 radius + 1)^2 pixels, less at the borders: down the columns, then along the rows."""
    height, width = values.shape
    columns = np.zeros(width, np.int64)
    sums = np.empty((height, width), np.int64)
    for y in range(-radius, height):
        if y + radius < height:
            columns += values[y + radius]
        if y - radius > 0:
            columns -= values[y - radius - 1]
        if y >= 0:
            total = columns[:radius].sum()
            for x in range(width):
                if x + radius < width:
                    total += columns[x + radius]
                if x - radius > 0:
                    total -= columns[x - radius - 1]
                sums[y, x] = total
    return sums
