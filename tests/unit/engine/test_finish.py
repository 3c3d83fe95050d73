"""The final shape of a block's nuclei."""

import numpy as np

from sac_wsi.engine.blocks import FinalBlock
from sac_wsi.engine.finish import FinishBlock
from sac_wsi.geometry import Box
from sac_wsi.nuclei.columns import Nuclei, concat
from sac_wsi.nuclei.identity import NAMESPACE
from sac_wsi.nuclei.masks import labels_from_nuclei
from sac_wsi.nuclei.polygons import outlines
from sac_wsi.nuclei.table import MEASUREMENTS
from sac_wsi.tiling.stitch import overlaps_within


def all_blocks(finished):
    return [FinalBlock.load(finished.journal, block) for block in range(finished.plan.grid.block_count)]


def as_nuclei(block):
    """Return the masks again as nuclei; the columns that are no longer known are 0."""
    count = len(block)
    return Nuclei(
        block.anchor_yx,
        block.box,
        block.area_px,
        block.score,
        np.zeros(count, np.int32),
        np.zeros((count, 2), np.float32),
        block.mask_start,
        block.mask_bits,
    )


def test_each_true_nucleus_is_in_exactly_one_block(finished, slide):
    blocks = all_blocks(finished)
    assert sum(map(len, blocks)) == slide.truth_count()
    assert finished.doubled > 0, "else the slide does not show what the seams do"
    truth = labels_from_nuclei(slide.truth(slide.box), slide.box)
    at = np.concatenate([block.anchor_yx for block in blocks])
    assert sorted(truth[at[:, 0], at[:, 1]]) == list(range(1, slide.truth_count() + 1))


def test_no_pixel_is_in_two_nuclei(finished):
    assert len(overlaps_within(concat([as_nuclei(block) for block in all_blocks(finished)]))) == 0


def test_polygons_and_measurements_are_those_of_the_trimmed_masks(finished):
    plan = finished.plan
    for block in all_blocks(finished):
        start, xy = outlines(as_nuclei(block), plan.frame.downsample)
        assert start.tolist() == block.polygon_start.tolist()
        assert xy.tolist() == block.polygon_xy_centipx.tolist()
        area_um2 = block.measurements[:, MEASUREMENTS.index("Area µm^2")]
        expected = block.area_px * (plan.frame.downsample * plan.slide_mpp) ** 2
        np.testing.assert_allclose(area_um2, expected, rtol=0.15)


def test_lengths_scale_with_the_resolution_of_the_slide(finished, tmp_path):
    plan = finished.plan
    task = FinishBlock(finished.journal, plan.grid, plan.frame.downsample, 2 * plan.slide_mpp, NAMESPACE)
    once = FinalBlock.load(finished.journal, 0)
    twice = task._final(task._trimmed(0))
    for name, power in {"Length µm": 1, "Area µm^2": 2, "Circularity": 0, "Centroid X µm": 1}.items():
        column = MEASUREMENTS.index(name)
        np.testing.assert_allclose(
            twice.measurements[:, column], 2**power * once.measurements[:, column], rtol=1e-5
        )
    assert twice.uuid.tolist() == once.uuid.tolist()


def test_uuids_are_unique(finished):
    uuids = np.concatenate([block.uuid for block in all_blocks(finished)])
    assert len({row.tobytes() for row in uuids}) == len(uuids)


def test_stain_is_measured_on_the_slide(finished):
    for block in all_blocks(finished):
        haematoxylin = block.measurements[:, MEASUREMENTS.index("Hematoxylin: Mean")]
        assert (haematoxylin > 0.1).all()


def test_masks_lie_on_the_frame(finished):
    frame = finished.plan.grid.frame
    assert all(frame.contains(Box(*box)) for block in all_blocks(finished) for box in block.box.tolist())
