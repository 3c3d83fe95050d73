"""Labels drawn from the table."""

import numpy as np
import pytest

from sac_wsi.geometry import Box
from sac_wsi.nuclei.masks import labels_from_nuclei
from sac_wsi.slide.frame import Frame
from sac_wsi.store import label_pyramid
from sac_wsi.store.columns import Table, open_array
from sac_wsi.store.label_pyramid import (
    SHARD_PX,
    DrawLabels,
    LabelFrame,
    create_pyramid,
    draw_labels,
    label_frame,
    parts,
)


def test_labels_are_at_level_0_unless_it_is_finer_than_needed():
    frame = Frame(0.5, 2.0, 0, 1.0, (50, 60))
    assert label_frame((100, 120), 0.25, frame) == LabelFrame((100, 120), 0.25, 0.5)
    assert label_frame((100, 120), 0.1, frame) == LabelFrame((50, 60), 0.5, 1.0)


def test_levels_halve_until_one_fits_a_chunk():
    assert LabelFrame((5000, 3001), 0.25, 1.0).levels == [(5000, 3001), (2500, 1501), (1250, 751), (625, 376)]
    assert LabelFrame((10, 1024), 0.25, 1.0).levels == [(10, 1024)]


def test_label_pixels_lie_on_the_frame_pixels_under_their_centres():
    coarse = LabelFrame((10, 10), 1.0, 2.0)
    assert coarse.frame_under(np.arange(3)).tolist() == [1, 3, 5]
    assert coarse.to_frame(Box(0, 1, 2, 4)) == Box(1, 3, 4, 8)
    fine = LabelFrame((10, 10), 0.25, 0.5)
    assert fine.frame_under(np.arange(4)).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("shape_yx", [(500, 700), (2048, 2049), (9000, 5000), (20_000, 9000)])
def test_every_shard_of_every_level_is_written_by_exactly_one_task(shape_yx):
    frame = LabelFrame(shape_yx, 0.25, 1.0)
    written = [np.zeros((-(-h // SHARD_PX), -(-w // SHARD_PX)), int) for h, w in frame.levels]
    for level, box in parts(frame):
        alone = max(frame.levels[level]) <= 2 * SHARD_PX
        last = len(frame.levels) - 1 if alone else level + 1
        for at in range(level, last + 1):
            step = SHARD_PX * 2 ** (at - level)
            written[at][box.y0 // step : -(-box.y1 // step), box.x0 // step : -(-box.x1 // step)] += 1
    assert all((shards == 1).all() for shards in written)


def test_the_labels_of_a_run_are_the_true_masks(run, slide):
    truth = labels_from_nuclei(slide.truth(slide.box), slide.box)
    labels = open_array(run.store, "0")[:]
    assert ((labels > 0) == (truth > 0)).all()
    assert len(np.unique(np.column_stack([labels.ravel(), truth.ravel()]), axis=0)) == labels.max() + 1


def test_any_box_of_any_level_is_a_part_of_the_whole(run):
    table, frame = Table(run.store), run.label_frame
    base = open_array(run.store, "0")[:]
    box = Box(130, 77, 320, 401)
    np.testing.assert_array_equal(draw_labels(table, frame, 0, box), base[box.within(Box(0, 0, 700, 900))])
    half = draw_labels(table, frame, 1, Box(20, 30, 200, 300))
    np.testing.assert_array_equal(half, base[::2, ::2][20:200, 30:300])


def test_a_pyramid_of_many_shards(run, tmp_path, monkeypatch):
    """The tasks in reverse order, shards of 128 pixels."""
    monkeypatch.setattr(label_pyramid, "CHUNK_PX", 64)
    monkeypatch.setattr(label_pyramid, "SHARD_PX", 128)
    store = tmp_path / "s"
    create_pyramid(store, run.label_frame, "nuclei")
    (store / "nuclei").symlink_to(run.store / "nuclei")
    task = DrawLabels(store, run.label_frame)
    assert len(parts(run.label_frame)) > 10
    for index in reversed(range(len(parts(run.label_frame)))):
        task(index)
    base = open_array(run.store, "0")[:]
    for level in range(len(run.label_frame.levels)):
        expected = base[:: 2**level, :: 2**level]
        np.testing.assert_array_equal(open_array(store, str(level))[:], expected)


def test_a_shard_without_nuclei_is_not_written(run, tmp_path, monkeypatch):
    monkeypatch.setattr(label_pyramid, "draw_labels", lambda *_: np.zeros((10, 10), np.uint32))
    store = tmp_path / "s"
    create_pyramid(store, LabelFrame((10, 10), 0.25, 1.0), "nuclei")
    DrawLabels(store, LabelFrame((10, 10), 0.25, 1.0))(0)
    assert [path.name for path in (store / "0").iterdir()] == ["zarr.json"]
    assert not open_array(store, "0")[:].any()
