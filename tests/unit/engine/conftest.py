"""A small slide whose nuclei are known, planned and segmented block by block."""

from dataclasses import dataclass

import pytest

from sac_wsi.engine.config import load_config
from sac_wsi.engine.finish import FinishBlock
from sac_wsi.engine.journal import Journal
from sac_wsi.engine.plan import Plan, make_plan, tissue_of
from sac_wsi.engine.seams import settle_seams
from sac_wsi.engine.work import SegmentBlock
from sac_wsi.nuclei.identity import NAMESPACE
from sac_wsi.testing import OracleSegmenter, SyntheticSlide


@dataclass(frozen=True)
class Finished:
    """A run up to the finished blocks, with the number of nuclei after each step."""

    plan: Plan
    journal: Journal
    found: int
    doubled: int


@pytest.fixture(scope="session")
def slide():
    return SyntheticSlide(seed=1, shape_yx=(500, 600))


@pytest.fixture(scope="session")
def plan(slide, tmp_path_factory):
    """3 x 3 tiles in 2 x 2 blocks; each tile sees the nuclei a little differently."""
    path = tmp_path_factory.mktemp("slide") / "slide.tiff"
    slide.write_tiff(path)
    overrides = ["grid.tile_px=384", "grid.halo_um=22", "grid.block_tiles=2", "tissue=none"]
    return make_plan(path, load_config(overrides=overrides), segmenter=OracleSegmenter(slide, jitter_px=2))


@pytest.fixture(scope="session")
def segment_block():
    """Return the task for the blocks of a plan."""

    def make(plan, journal, **changes):
        fields = {
            "source": plan.source,
            "frame": plan.frame,
            "grid": plan.grid,
            "tissue": tissue_of(plan),
            "segmenter": plan.segmenter,
            "batch_tiles": 4,
            "journal": journal,
        }
        return SegmentBlock(**{**fields, **changes})

    return make


@pytest.fixture(scope="session")
def finished(plan, segment_block, tmp_path_factory):
    journal = Journal(tmp_path_factory.mktemp("x.zarr.partial"))
    blocks = range(plan.grid.block_count)
    segment = segment_block(plan, journal)
    found = sum(segment(block).nuclei for block in blocks)
    doubled = settle_seams(journal, plan.grid)
    finish = FinishBlock(journal, plan.grid, plan.frame.downsample, plan.slide_mpp, NAMESPACE)
    for block in blocks:
        finish(block)
    return Finished(plan, journal, found, doubled)
