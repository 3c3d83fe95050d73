"""The task of one block, on a slide whose nuclei are known."""

import numpy as np
import pytest

from sac_wsi.engine.blocks import FoundBlock, TileStatus
from sac_wsi.engine.config import load_config
from sac_wsi.engine.journal import Journal
from sac_wsi.engine.plan import make_plan
from sac_wsi.engine.read import SlideSource
from sac_wsi.errors import InputChanged
from sac_wsi.testing import OracleSegmenter, SyntheticSlide, break_tile
from sac_wsi.tissue.find import TissueMask


def anchored_in(slide, box, margin=0):
    """Number of true nuclei anchored in a box with this margin around it."""
    y, x = slide.truth(slide.box).anchor_yx.T
    box = box.dilate(margin)
    return int(((y >= box.y0) & (y < box.y1) & (x >= box.x0) & (x < box.x1)).sum())


def test_a_block_holds_what_is_anchored_in_its_core(plan, slide, segment_block, tmp_path):
    journal = Journal(tmp_path)
    task = segment_block(plan, journal, segmenter=OracleSegmenter(slide))
    for index in range(plan.grid.block_count):
        report = task(index)
        found = FoundBlock.load(journal, index)
        kept = len(found.nuclei) - len(found.twins)
        core, tolerance = plan.grid.block(index).core, plan.grid.tolerance_px
        assert anchored_in(slide, core) <= kept <= anchored_in(slide, core, tolerance)
        assert report.nuclei == len(found.nuclei)
        assert set(report.seconds) == {"read", "segment", "claim", "journal"}
        assert set(found.tiles.status.values()) == {TileStatus.DONE}
        assert found.nuclei.stain_od.all()


def test_the_rim_holds_what_another_block_could_overlap(plan, slide, segment_block, tmp_path):
    journal = Journal(tmp_path)
    segment_block(plan, journal)(0)
    found = FoundBlock.load(journal, 0)
    core, halo = plan.grid.block(0).core, plan.grid.halo_px
    box = found.nuclei.box
    near = (box[:, 2] > core.y1 - halo) | (box[:, 3] > core.x1 - halo)
    assert found.rim.rows.tolist() == np.flatnonzero(near).tolist()
    assert found.rim.nuclei.box.tolist() == box[near].tolist()


def test_the_size_of_batches_does_not_change_a_block(plan, segment_block, tmp_path):
    files = []
    for batch_tiles in (1, 3):
        folder = tmp_path / str(batch_tiles)
        folder.mkdir()
        segment_block(plan, Journal(folder), batch_tiles=batch_tiles)(0)
        files.append((folder / "found" / "0000000.columns").read_bytes())
    assert files[0] == files[1]


def test_tiles_without_tissue_are_skipped(plan, segment_block, tmp_path):
    journal, mask = Journal(tmp_path), np.zeros((5, 6), bool)
    mask[:1, :1] = True  # the first 100 x 100 pixels
    segment_block(plan, journal, tissue=TissueMask(mask, 100.0))(0)
    found = FoundBlock.load(journal, 0)
    assert found.tiles.status == {
        0: TileStatus.DONE,
        1: TileStatus.SKIPPED,
        3: TileStatus.SKIPPED,
        4: TileStatus.SKIPPED,
    }
    assert len(found.nuclei) > 0
    assert (found.nuclei.anchor_yx < 100).all()


def test_a_tile_that_cannot_be_read_is_recorded_with_its_reason(slide, segment_block, tmp_path):
    path = tmp_path / "slide.tiff"
    slide.write_tiff(path)
    break_tile(path, 2)  # the pixels from y = 0 to 256, from x = 512 on
    overrides = ["grid.tile_px=384", "grid.halo_um=22", "grid.block_tiles=3", "tissue=none"]
    broken = make_plan(path, load_config(overrides=overrides), segmenter=OracleSegmenter(slide))
    journal = Journal(tmp_path)
    segment_block(broken, journal)(0)
    tiles = FoundBlock.load_tiles(journal, 0)
    assert [tile for tile, status in tiles.status.items() if status is TileStatus.FAILED] == [2, 5]
    assert [failure.tile for failure in tiles.failures] == [2, 5]
    assert all("could not be read" in failure.reason for failure in tiles.failures)
    assert list(tiles.status.values()).count(TileStatus.DONE) == 7


def test_nothing_is_kept_of_a_slide_that_was_replaced_meanwhile(plan, slide, segment_block, tmp_path):
    """The other slide appears while the model works on the first one's pixels."""
    path = tmp_path / "slide.tiff"
    slide.write_tiff(path)

    class Replacing(OracleSegmenter):
        def segment(self, tiles):
            SyntheticSlide(seed=9, shape_yx=slide.shape_yx).write_tiff(tmp_path / "other.tiff")
            (tmp_path / "other.tiff").replace(path)
            return super().segment(tiles)

    journal = Journal(tmp_path)
    source = SlideSource(path, None, plan.info.fingerprint)
    with pytest.raises(InputChanged, match="was replaced"):
        segment_block(plan, journal, source=source, segmenter=Replacing(slide))(0)
    assert not journal.has("found", 0)


def test_a_nucleus_larger_than_the_halo_is_counted(plan, segment_block, tmp_path):
    from sac_wsi.nuclei.masks import nuclei_from_masks

    class Slab:
        """One nucleus over the whole tile."""

        def segment(self, tiles):
            return [
                nuclei_from_masks([((tile.read.y0, tile.read.x0), np.ones(tile.read.shape, bool))])
                for tile in tiles
            ]

    journal = Journal(tmp_path)
    assert segment_block(plan, journal, segmenter=Slab())(0).nuclei == 0
    assert FoundBlock.load_tiles(journal, 0).cut == 4
