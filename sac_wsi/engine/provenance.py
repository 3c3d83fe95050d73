"""Describe how a store was made: slide, model, settings, counts, failures, warnings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sac_wsi import __version__
from sac_wsi.engine.blocks import FoundBlock, TileFailure
from sac_wsi.settings.read import settings_digest
from sac_wsi.store.digests import DIGESTS, array_digests
from sac_wsi.store.provenance import FORMAT
from sac_wsi.tiling.segmenter import ModelSegmenter, Segmenter, terms_warning

if TYPE_CHECKING:
    from pathlib import Path

    from sac_wsi.engine.journal import Journal
    from sac_wsi.engine.plan import Plan
    from sac_wsi.tiling.grid import Grid
    from sac_wsi.tissue.find import TissueMask

_TISSUE_FLAGS = {
    "pen": "pen marks were found and left out",
    "black": "black areas were found and left out",
    "empty": "no tissue was found, so the outputs are empty; if there is some, pass --tissue none",
    "repaired": "the tissue file held invalid polygons; they were repaired",
}


@dataclass(frozen=True)
class Counts:
    """What was counted while the store was built.

    Attributes:
        nuclei: Rows of the table.
        tiles: Number of tiles by status.
        doubled: Nuclei that were dropped because another tile shows them better.
    """

    nuclei: int
    tiles: Mapping[str, int]
    doubled: int


def provenance(
    plan: Plan, manifest: Mapping[str, Any], tissue: TissueMask, store: Path, journal: Journal, counts: Counts
) -> dict[str, Any]:
    """Return the store's attribute ``sac_wsi``.

    Two runs with the same manifest must give the same, so it holds no time, no machine and no order.
    """
    found = _found_in(journal, plan.grid)
    facts = {key: value for key, value in plan.info.to_json().items() if key != "path"}
    relative = os.path.relpath(plan.slide.absolute(), store.absolute().parent)
    tissue_mm2 = tissue.fraction * plan.area_mm2
    dropped = {
        "doubled": counts.doubled,
        "remnants": found.nuclei - counts.doubled - counts.nuclei,
        "larger_than_halo": found.cut,
    }
    return {
        "format": FORMAT,
        "version": __version__,
        "run_id": settings_digest(manifest),
        "manifest": manifest,
        "model": {**manifest["model"], **_terms(plan.segmenter)},
        "slide": {**facts, "path": relative},
        "frame": asdict(plan.frame),
        "labels": asdict(plan.labels),
        "counts": {"nuclei": counts.nuclei, "tiles": counts.tiles, "dropped": dropped},
        "failures": [[failure.tile, failure.reason] for failure in found.failures],
        DIGESTS: array_digests(journal.publish_folder),
        "tissue_mm2": tissue_mm2,
        "warnings": [
            *plan.info.warnings,
            *(_TISSUE_FLAGS[flag] for flag in tissue.flags),
            *terms_warning(plan.segmenter),
        ],
    }


@dataclass(frozen=True)
class _Found:
    """What all found blocks hold together."""

    nuclei: int
    cut: int
    failures: tuple[TileFailure, ...]


def _found_in(journal: Journal, grid: Grid) -> _Found:
    nuclei = cut = 0
    failures: list[TileFailure] = []
    for block in range(grid.block_count):
        nuclei += FoundBlock.load_count(journal, block)
        tiles = FoundBlock.load_tiles(journal, block)
        cut += tiles.cut
        failures += tiles.failures
    return _Found(nuclei, cut, tuple(sorted(failures, key=lambda failure: (failure.tile, failure.reason))))


def _terms(segmenter: Segmenter) -> dict[str, Any]:
    """Return the licence of the model's weights."""
    if not isinstance(segmenter, ModelSegmenter):
        return {}
    return {"licence": segmenter.licence, "non_commercial": segmenter.non_commercial}
