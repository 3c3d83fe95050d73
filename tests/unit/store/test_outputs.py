from pathlib import Path

import pytest

from sac_wsi.errors import OutputError, StoreError
from sac_wsi.store.outputs import check_writable, find_store, missing_files, plan_outputs


def test_the_store_lies_beside_the_first_output():
    planned = plan_outputs([Path("a/n.geojson"), Path("b/n.png"), Path("a/n.geojson")])
    assert planned.store == Path("a/n.zarr")
    assert planned.partial == Path("a/n.zarr.partial")
    assert planned.files == (Path("a/n.geojson"), Path("b/n.png"))


def test_the_store_may_be_given_by_name():
    planned = plan_outputs([Path("a/n.geojson"), Path("other.zarr")])
    assert planned.store == Path("other.zarr")


@pytest.mark.parametrize("name", ["n.txt", "n", "n.shp", "n.GEOJSON", ".geojson"])
def test_an_unknown_extension_is_refused(name):
    with pytest.raises(OutputError, match="geojson"):
        plan_outputs([Path(name)])


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(OutputError, match="mkdir"):
        check_writable(plan_outputs([tmp_path / "gone" / "n.geojson"]))


def test_nothing_is_written_through_a_link(tmp_path):
    (tmp_path / "n.geojson").symlink_to("/dev/null")
    with pytest.raises(OutputError, match="link"):
        check_writable(plan_outputs([tmp_path / "n.geojson"]))


def test_a_file_of_another_program_is_refused(tmp_path):
    planned = plan_outputs([tmp_path / "n.geojson"])
    assert missing_files(planned, "run") == [tmp_path / "n.geojson"]
    (tmp_path / "n.geojson").write_text('{"type":"FeatureCollection","features":[]}')
    with pytest.raises(OutputError, match="--overwrite"):
        missing_files(planned, "run")


def test_an_unfinished_store_is_distinguished_from_a_missing_one(tmp_path):
    with pytest.raises(StoreError, match="no store"):
        find_store(tmp_path / "n.zarr")
    (tmp_path / "n.zarr.partial").mkdir()
    with pytest.raises(StoreError, match="not finished"):
        find_store(tmp_path / "n.zarr")
    with pytest.raises(OutputError, match="There is no"):
        find_store(tmp_path / "n.geojson")
