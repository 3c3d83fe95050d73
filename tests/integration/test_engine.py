"""The guarantees of the engine, on a slide whose nuclei are known."""

import filecmp
import gzip
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sac_wsi import Run, segment_slide
from sac_wsi.engine.executors import SerialExecutor, make_executor
from sac_wsi.errors import InputChanged, OutputError
from sac_wsi.geometry import Box
from sac_wsi.nuclei.masks import labels_from_nuclei
from sac_wsi.testing import NothingSegmenter, OracleSegmenter
from sac_wsi.verify.check_run import verify_run


@pytest.fixture(scope="module")
def run(slide_file, oracle, tmp_path_factory):
    from sac_wsi.engine.config import load_config

    config = load_config(
        overrides=["grid.tile_px=384", "grid.block_tiles=2", "tissue=none", "grid.halo_um=22"]
    )
    out = tmp_path_factory.mktemp("run") / "nuclei.geojson"
    return segment_slide(slide_file, out, config=config, segmenter=oracle)


def same_tree(a, b):
    """Return whether two folders hold the same files, byte for byte; times do not count."""
    names_a, names_b = ({p.relative_to(root) for p in root.rglob("*")} for root in (a, b))
    return names_a == names_b and all(
        filecmp.cmp(a / n, b / n, shallow=False) for n in names_a if (a / n).is_file()
    )


def test_every_nucleus_once_and_whole(run, synthetic):
    truth = synthetic.truth(synthetic.box)
    expected = labels_from_nuclei(truth, synthetic.box)
    labels = run.labels().compute()
    assert len(run.nuclei) == len(truth) == synthetic.truth_count()
    assert ((labels > 0) == (expected > 0)).all()
    pairs = np.unique(np.column_stack([labels.ravel(), expected.ravel()]), axis=0)
    assert len(pairs) == len(truth) + 1, "each label is exactly one true nucleus"


def test_ids_are_ranks_by_anchor(run):
    anchors = run.nuclei["anchor_yx"][np.argsort(run.nuclei["id"])]
    assert sorted(run.nuclei["id"]) == list(range(1, len(run.nuclei) + 1))
    assert (np.lexsort([anchors[:, 1], anchors[:, 0]]) == np.arange(len(anchors))).all()


def test_store_and_geojson_pass_verify(run):
    for path in (run.store, run.store.with_suffix(".geojson")):
        report = verify_run(path)
        assert report.ok, report.problems


def test_the_pyramid_is_valid_for_both_validators_and_reads_back(run):
    import zarr
    from ome_zarr_models.v05.image_label import ImageLabel
    from yaozarrs import validate_zarr_store

    ImageLabel.from_zarr(zarr.open_group(run.store, mode="r"))
    validate_zarr_store(str(run.store))
    base, half = run.labels(0).compute(), run.labels(1).compute()
    assert (half == base[::2, ::2]).all()


@settings(max_examples=2, suppress_health_check=list(HealthCheck))
@given(st.integers(1, 7), st.integers(1, 3), st.randoms(use_true_random=False))
def test_blocks_and_order_do_not_change_the_result(
    run, slide_file, synthetic, tmp_path_factory, block_tiles, jitter, random
):
    """Bit for bit, for any block size and task order, with a segmenter that sees each tile differently."""
    from sac_wsi.engine.config import load_config

    class Shuffled(SerialExecutor):
        def run(self, task, indices):
            order = list(indices)
            random.shuffle(order)
            return super().run(task, order)

    segmenter = OracleSegmenter(synthetic, jitter_px=jitter)
    stores = []
    for blocks, executor in ((3, SerialExecutor()), (block_tiles, Shuffled())):
        config = load_config(
            overrides=["grid.tile_px=384", f"grid.block_tiles={blocks}", "tissue=none", "grid.halo_um=22"]
        )
        out = tmp_path_factory.mktemp("blocks") / "n.geojson"
        done = segment_slide(slide_file, out, config=config, segmenter=segmenter, workers=executor)
        stores.append(done.store)
    assert same_tree(*stores)
    a, b = (store.with_suffix(".geojson").read_bytes() for store in stores)
    assert a == b


@pytest.mark.parametrize("tile_px", [256, 320, 640, 1024, 2500])
def test_tile_sizes_do_not_change_the_result_of_the_oracle(
    run, slide_file, oracle, small_grid, tmp_path, tile_px
):
    other = segment_slide(slide_file, tmp_path / "n.geojson", config=small_grid(tile_px), segmenter=oracle)
    for column in other.nuclei.columns:
        np.testing.assert_array_equal(other.nuclei[column], run.nuclei[column], err_msg=column)
    assert (other.labels() == run.labels()).all().compute()
    features = [json.loads(r.store.with_suffix(".geojson").read_bytes())["features"] for r in (run, other)]
    assert features[0] == features[1]


def test_dask_workers_do_not_change_the_result(run, slide_file, oracle, small_grid, tmp_path):
    with make_executor(2) as executor:
        other = segment_slide(
            slide_file, tmp_path / "nuclei.geojson", config=small_grid(), segmenter=oracle, workers=executor
        )
    assert (tmp_path / "nuclei.geojson").read_bytes() == run.store.with_suffix(".geojson").read_bytes()
    for column in other.nuclei.columns:
        np.testing.assert_array_equal(other.nuclei[column], run.nuclei[column], err_msg=column)


def test_a_repeated_run_reuses_the_store(slide_file, oracle, small_grid, tmp_path):
    out = tmp_path / "n.geojson"
    first = segment_slide(slide_file, out, config=small_grid(), segmenter=oracle)
    stamp = out.stat().st_mtime_ns
    again = segment_slide(slide_file, out, config=small_grid(), segmenter=oracle)
    assert not first.summary.reused
    assert again.summary.reused
    assert out.stat().st_mtime_ns == stamp


def test_a_missing_output_is_exported_from_the_complete_store(slide_file, oracle, small_grid, tmp_path):
    segment_slide(slide_file, tmp_path / "n.geojson", config=small_grid(), segmenter=oracle)
    outs = [tmp_path / "n.geojson", tmp_path / "n.geojson.gz", tmp_path / "n.png", tmp_path / "n.tif"]
    run = segment_slide(slide_file, outs, config=small_grid(), segmenter=oracle)
    assert run.summary.reused
    assert gzip.decompress(outs[1].read_bytes()) == outs[0].read_bytes()
    for out in outs:
        assert verify_run(out).ok


def test_a_changed_setting_is_refused_and_named(slide_file, oracle, small_grid, tmp_path):
    segment_slide(slide_file, tmp_path / "n.geojson", config=small_grid(384), segmenter=oracle)
    with pytest.raises((InputChanged, OutputError)):
        segment_slide(slide_file, tmp_path / "n.geojson", config=small_grid(512), segmenter=oracle)
    (tmp_path / "n.geojson").unlink()
    with pytest.raises(InputChanged, match="grid.tile_px was 384, now 512"):
        segment_slide(slide_file, tmp_path / "n.geojson", config=small_grid(512), segmenter=oracle)
    replaced = segment_slide(
        slide_file, tmp_path / "n.geojson", config=small_grid(512), segmenter=oracle, overwrite=True
    )
    assert not replaced.summary.reused
    assert not (tmp_path / "n.zarr.partial").exists()


def test_a_slide_without_nuclei_gives_empty_outputs(slide_file, small_grid, tmp_path):
    outs = [tmp_path / f"n{ending}" for ending in (".geojson", ".geojson.gz", ".zip", ".tif", ".png")]
    run = segment_slide(slide_file, outs, config=small_grid(), segmenter=NothingSegmenter())
    assert len(run.nuclei) == 0
    assert json.loads(outs[0].read_bytes())["features"] == []
    assert all(verify_run(out).ok for out in outs)


def test_the_run_is_opened_by_any_of_its_outputs(run):
    assert Run.open(run.store.with_suffix(".geojson")).store == run.store


def test_centroids_are_x_and_y_of_the_slide(run, synthetic):
    """Centroids in µm lie on the true nuclei: x and y are not swapped."""
    truth = synthetic.truth(Box(0, 0, 400, 400)).anchor_yx * synthetic.mpp
    found = np.column_stack([run.nuclei["Centroid Y µm"], run.nuclei["Centroid X µm"]])
    for anchor in truth:
        assert np.abs(found - anchor).max(axis=1).min() < 2 * synthetic.mpp
