"""A synthetic slide of any size. Every region and its true nuclei are computed when needed, never stored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import floor, log2, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from sac_wsi.geometry import Box
from sac_wsi.nuclei.masks import nuclei_from_packed
from sac_wsi.testing.ellipse import pack_ellipses
from sac_wsi.testing.lattice import Lattice, count_all, ellipses_in
from sac_wsi.testing.paint import render_into, transmission_tables
from sac_wsi.testing.tiff import PyramidSettings, write_pyramid
from sac_wsi.testing.tissue import blob_tissue, full_tissue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sac_wsi.nuclei.columns import Nuclei

_MEDIAN_RADIUS_UM, _MIN_RADIUS_UM, _MAX_RADIUS_UM = 4.0, 2.0, 10.0
_LARGEST_PITCH_UM = 24.0
_SMALLEST_PITCH_PX = 12
_MAX_OCCUPANCY = 0.92
"""Largest share of cells with nuclei: with more, the grid of cells would be visible."""


@dataclass(frozen=True)
class SyntheticSlide:
    """A synthetic H&E slide whose nuclei are known exactly.

    Nuclei are ellipses with a radius of 2 to 10 µm, mostly 3 to 5, and smaller if the density leaves no room.
    Each is one 4-connected component that lies fully on the slide, at least two pixels away from all others
    except its partner in a touching pair. The same settings always give the same slide.

    Args:
        seed: Seed of the random numbers.
        shape_yx: Height and width in level-0 pixels.
        mpp: Micrometres per pixel at level 0.
        density_per_mm2: Nuclei per mm² of tissue.
        touching_fraction: Fraction of the nuclei that touch a partner, 0 to 1.
        seams_px: (y, x); nuclei are placed on lines at multiples of these, where tiles of that size meet.
        tissue: ``full`` for tissue everywhere, ``blobs`` for islands of tissue on glass.

    >>> slide = SyntheticSlide(seed=1, shape_yx=(600, 800))
    >>> slide.render(Box(0, 0, 100, 200)).shape
    (100, 200, 3)
    >>> len(slide.truth(Box(0, 0, 600, 800))) == slide.truth_count()
    True
    """

    seed: int
    shape_yx: tuple[int, int]
    mpp: float = 0.25
    density_per_mm2: float = 4000.0
    touching_fraction: float = 0.2
    seams_px: tuple[int, int] | None = None
    tissue: Literal["full", "blobs"] = "full"

    def __post_init__(self) -> None:
        if not 0 < self.mpp <= 10:
            raise ValueError(f"mpp is {self.mpp}, needed more than 0 and at most 10 µm/px")
        if not self.density_per_mm2 >= 0:
            raise ValueError(f"density_per_mm2 is {self.density_per_mm2}, needed 0 or more")
        if not 0 <= self.touching_fraction <= 1:
            raise ValueError(f"touching_fraction is {self.touching_fraction}, needed 0..1")
        if self.tissue not in ("full", "blobs"):
            raise ValueError(f"tissue is {self.tissue!r}, needed 'full' or 'blobs'")
        if self.lattice.pitch < _SMALLEST_PITCH_PX:
            most = self.density_per_mm2 * (self.lattice.pitch / _SMALLEST_PITCH_PX) ** 2
            raise ValueError(
                f"{self.density_per_mm2:g} nuclei/mm² at {self.mpp:g} µm/px leaves cells of "
                f"{self.lattice.pitch} px, needed {_SMALLEST_PITCH_PX}: pass density_per_mm2 <= {most:.0f} "
                "or a smaller mpp"
            )

    @property
    def box(self) -> Box:
        """The whole slide, in level-0 pixels."""
        return Box.of_shape(self.shape_yx)

    @cached_property
    def lattice(self) -> Lattice:
        """The parameters of the compiled kernels."""
        density_per_px = self.density_per_mm2 * (self.mpp / 1000) ** 2
        pair_chance = self.touching_fraction / (2 - self.touching_fraction)
        largest_pitch_px = floor(_LARGEST_PITCH_UM / self.mpp)
        pitch = largest_pitch_px
        if density_per_px > 0:
            pitch = min(pitch, floor(sqrt(_MAX_OCCUPANCY * (1 + pair_chance) / density_per_px)))
        median_radius = min(_MEDIAN_RADIUS_UM / self.mpp, 0.3 * pitch)
        seed = self.seed & (2**62 - 1)
        full = self.tissue == "full"
        return Lattice(
            seed=seed,
            height=self.shape_yx[0],
            width=self.shape_yx[1],
            pitch=pitch,
            occupancy=density_per_px * pitch**2 / (1 + pair_chance),
            pair_chance=pair_chance,
            median_radius=median_radius,
            min_radius=min(_MIN_RADIUS_UM / self.mpp, 0.5 * median_radius),
            max_radius=_MAX_RADIUS_UM / self.mpp,
            seam_y=self.seams_px[0] if self.seams_px else 0,
            seam_x=self.seams_px[1] if self.seams_px else 0,
            tissue=full_tissue() if full else blob_tissue(seed, self.shape_yx, largest_pitch_px),
        )

    def truth(self, box_px: Box) -> Nuclei:
        """Return the nuclei whose bounding box overlaps ``box_px``, uncut, in level-0 pixels."""
        everywhere = (-(2**31), -(2**31), 2**31, 2**31)
        columns, _ = pack_ellipses(ellipses_in(self.lattice, _corners(box_px)), everywhere)
        nuclei = nuclei_from_packed(columns)
        y0, x0, y1, x1 = nuclei.box.T
        return nuclei.take((y0 < box_px.y1) & (y1 > box_px.y0) & (x0 < box_px.x1) & (x1 > box_px.x0))

    def truth_count(self) -> int:
        """Return the number of nuclei on the whole slide (counts about 10 million per second)."""
        return int(count_all(self.lattice))

    def render(self, box_px: Box) -> NDArray[np.uint8]:
        """Return the RGB pixels (h, w, 3) of a box of level 0; white outside the slide."""
        rgb = np.full((*box_px.shape, 3), 255, np.uint8)
        inside = box_px.intersect(self.box)
        if inside.empty:
            return rgb
        pixels = np.empty((*inside.shape, 3), np.uint8)
        lattice = self.lattice
        coarse = round(log2(0.25 / self.mpp))
        ellipses = ellipses_in(lattice, _corners(inside))
        tables = transmission_tables()
        corner = inside.y0, inside.x0
        render_into(pixels, corner, lattice.seed, coarse, lattice.tissue, ellipses, tables)
        rgb[inside.within(box_px)] = pixels
        return rgb

    def write_tiff(
        self,
        path: str | Path,
        *,
        tile_px: int = 256,
        quality: int = 90,
        levels: int | None = None,
        mpp_tag: bool = True,
        threads: int = 2,
    ) -> Path:
        """Write the slide as a pyramidal tiled TIFF that OpenSlide opens; always the same bytes.

        Memory grows with the slide's width only.

        Args:
            path: The file.
            tile_px: Side of the TIFF tiles, a multiple of 16.
            quality: JPEG quality.
            levels: Number of levels, each a quarter of the one before. By default the last has at most
                2048 pixels per side.
            mpp_tag: Whether the file states its resolution.
            threads: Number of threads that render.
        """
        return write_pyramid(
            Path(path),
            self.render,
            self.shape_yx,
            mpp=self.mpp if mpp_tag else None,
            settings=PyramidSettings(tile_px, quality, levels, threads),
        )


def _corners(box: Box) -> tuple[int, int, int, int]:
    return box.y0, box.x0, box.y1, box.x1
