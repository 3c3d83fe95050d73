"""Tell the user when a result does not look like nuclei: a wrong resolution is the usual reason.

The limits are those of ``benchmarks/results/plausibility.md``: images of three data sets, segmented at their
own resolution and at a wrong one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sac_wsi.store.columns import Table

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FEWEST = 100
"""Of fewer nuclei nothing is said."""
SMALLEST_UM2, USUAL_UM2, LARGEST_UM2 = 9.0, 22.0, 60.0
"""Median area of the nuclei of an image: the usual one, and beyond which none of the images lies."""
LEAST_HAEMATOXYLIN_OD = 0.08
LARGEST_CUT_SHARE = 0.1
LEAST_TISSUE_MM2, FEWEST_PER_MM2 = 1.0, 30.0
_ROWS = 200_000


def implausible(store: Path, slide_mpp: float, tissue_mm2: float, larger_than_halo: int) -> list[str]:
    """Return a warning for each thing that is unlikely in a result.

    Args:
        store: The store with the table of nuclei.
        slide_mpp: Micrometres per pixel that the run used.
        tissue_mm2: Area of the tissue.
        larger_than_halo: Number of objects that were dropped because the halo cut them.
    """
    table = Table(store)
    rows = slice(0, _ROWS)
    found = len(table)
    warnings = [
        *_few(found, tissue_mm2),
        *_cut(found, larger_than_halo),
    ]
    if found >= FEWEST:
        warnings += _sizes(table.column("Area µm^2", rows), slide_mpp)
        warnings += _stain(table.column("Hematoxylin: Mean", rows))
    return warnings


def _sizes(area_um2: NDArray[np.float32], slide_mpp: float) -> list[str]:
    median = float(np.nanmedian(area_um2))
    if SMALLEST_UM2 <= median <= LARGEST_UM2:
        return []
    fits = slide_mpp * math.sqrt(USUAL_UM2 / median)
    than = "less" if median < USUAL_UM2 else "more"
    return [
        f"the median nucleus measures {median:.0f} µm², {than} than nuclei usually do ({SMALLEST_UM2:.0f} to "
        f"{LARGEST_UM2:.0f}): is {slide_mpp:.3g} µm per pixel right? --mpp {fits:.2g} would fit"
    ]


def _stain(haematoxylin_od: NDArray[np.float32]) -> list[str]:
    median = float(np.nanmedian(haematoxylin_od))
    if median >= LEAST_HAEMATOXYLIN_OD:
        return []
    return [
        f"the nuclei hold hardly any haematoxylin (optical density {median:.2f}): is the slide stained with "
        "H&E?"
    ]


def _cut(found: int, larger_than_halo: int) -> list[str]:
    if larger_than_halo < FEWEST or larger_than_halo <= LARGEST_CUT_SHARE * found:
        return []
    return [
        f"{larger_than_halo:,} objects were larger than the halo and left out, beside {found:,} nuclei: is "
        "the resolution right? For large nuclei raise grid.halo_um"
    ]


def _few(found: int, tissue_mm2: float) -> list[str]:
    if tissue_mm2 < LEAST_TISSUE_MM2 or found >= FEWEST_PER_MM2 * tissue_mm2:
        return []
    return [
        f"only {found:,} nuclei in {tissue_mm2:.1f} mm² of tissue: look at the overlay; is the resolution "
        "right, and the slide stained with H&E?"
    ]
