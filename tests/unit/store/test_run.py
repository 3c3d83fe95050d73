"""A finished run, opened without its slide and its model."""

import gzip
import json
import shutil

import numpy as np
import pytest

from sac_wsi.errors import OutputError, StoreError
from sac_wsi.export.header import read_header
from sac_wsi.store.run import Run, Summary


@pytest.fixture
def moved(run, tmp_path):
    """A copy of the store and its output, without the slide."""
    shutil.copytree(run.store, tmp_path / "n.zarr")
    shutil.copy(run.store.with_suffix(".geojson"), tmp_path / "n.geojson")
    return Run.open(tmp_path / "n.geojson")


def test_a_run_is_opened_by_its_store_or_an_output(run, moved, tmp_path):
    assert moved.store == tmp_path / "n.zarr"
    assert Run.open(str(run.store)).provenance == run.provenance == moved.provenance


def test_a_store_that_is_not_there(tmp_path):
    with pytest.raises(StoreError, match="There is no store"):
        Run.open(tmp_path / "n.zarr")


def test_nuclei_and_labels_agree(moved):
    labels = moved.labels().compute()
    assert labels.shape == moved.label_frame.shape_yx == (700, 900)
    areas = np.bincount(labels.ravel())[moved.nuclei["id"]]
    assert areas.tolist() == moved.nuclei["area_px"].tolist()
    assert len(moved.nuclei) == labels.max() == moved.provenance["counts"]["nuclei"]
    assert sum(map(len, moved.nuclei.batches())) == len(moved.nuclei)
    assert {"id", "score", "Area µm^2"} <= set(moved.nuclei.columns)


def test_the_slide_is_looked_for_where_it_was(run, moved, tmp_path):
    assert run.slide_path().samefile(run.store.with_name("slide.tiff"))
    assert not moved.original_slide_path.exists()
    with pytest.raises(OutputError, match="Pass --slide with its new path"):
        moved.slide_path()
    (tmp_path / "elsewhere.tiff").touch()
    assert moved.slide_path(tmp_path / "elsewhere.tiff") == tmp_path / "elsewhere.tiff"


def test_exports_are_the_same_without_the_slide(run, moved, tmp_path):
    moved.to_geojson(tmp_path / "again.geojson.gz")
    again = json.loads(gzip.decompress((tmp_path / "again.geojson.gz").read_bytes()))
    first = json.loads((run.store.with_suffix(".geojson")).read_bytes())
    assert again["features"] == first["features"]


def test_an_export_names_its_store_and_its_run(moved, tmp_path):
    (tmp_path / "pictures").mkdir()
    path = tmp_path / "pictures" / "labels.png"
    assert moved.export(path) is None
    header = read_header(path)
    assert header["store"] == "../n.zarr"
    assert header["run_id"] == moved.provenance["run_id"]
    assert set(header["slide"]) == {"fingerprint", "mpp", "mpp_source", "shape_yx", "origin_yx"}


def test_the_summary_names_the_slowest_stage(run):
    summary = run.summary
    assert isinstance(summary, Summary)
    assert summary.bottleneck == max(summary.seconds, key=summary.seconds.get)
    assert json.loads(json.dumps(summary.to_json()))["bottleneck"] == summary.bottleneck
    assert summary.nuclei == len(run.nuclei)
    assert summary.tiles["failed"] == 0
