from pathlib import Path

import pytest

from sac_wsi.errors import OutputError, StoreError
from sac_wsi.store.outputs import (
    check_writable,
    files_to_write,
    find_store,
    make_folders,
    plan_outputs,
    refuse_inputs,
)


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


def test_missing_folders_are_made_after_the_checks(tmp_path):
    planned = plan_outputs([tmp_path / "new" / "er" / "n.geojson"])
    check_writable(planned)
    assert not (tmp_path / "new").exists()
    make_folders(planned)
    assert (tmp_path / "new" / "er").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="not a folder"):
        check_writable(plan_outputs([tmp_path / "file" / "n.geojson"]))


def test_nothing_is_written_through_a_link(tmp_path):
    (tmp_path / "n.geojson").symlink_to("/dev/null")
    with pytest.raises(OutputError, match="link"):
        check_writable(plan_outputs([tmp_path / "n.geojson"]))


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_of_another_program_is_refused(tmp_path, overwrite):
    planned = plan_outputs([tmp_path / "n.geojson"])
    assert files_to_write(planned, "run", overwrite=overwrite) == [tmp_path / "n.geojson"]
    (tmp_path / "n.geojson").write_text('{"type":"FeatureCollection","features":[]}')
    with pytest.raises(OutputError, match="was not written by sac-wsi: it is not replaced"):
        files_to_write(planned, "run", overwrite=overwrite)


def test_a_file_of_another_run_needs_overwrite(tmp_path):
    planned = plan_outputs([tmp_path / "n.geojson"])
    (tmp_path / "n.geojson").write_text(
        '{"type":"FeatureCollection","sac_wsi":{"run_id":"a"},"features":[\n\n]}\n'
    )
    assert files_to_write(planned, "a", overwrite=False) == []
    assert files_to_write(planned, "a", overwrite=True) == [tmp_path / "n.geojson"]
    assert files_to_write(planned, "b", overwrite=True) == [tmp_path / "n.geojson"]
    with pytest.raises(OutputError, match="--overwrite"):
        files_to_write(planned, "b", overwrite=False)


@pytest.mark.parametrize("how", ["same", "link", "hard link", "inside"])
def test_an_input_is_never_an_output(tmp_path, how):
    read = tmp_path / "region.geojson"
    read.write_text("x")
    out = tmp_path / "out.geojson"
    if how == "link":
        out.symlink_to(read)
    elif how == "hard link":
        out.hardlink_to(read)
    elif how == "inside":
        read = tmp_path / "slide.zarr"
        read.mkdir()
        out = read / "n.geojson"
    with pytest.raises(OutputError, match="input"):
        refuse_inputs([tmp_path / "n.zarr", read if how == "same" else out], [tmp_path / "missing", read])
    refuse_inputs([tmp_path / "n.geojson"], [read])


def test_an_unfinished_store_is_distinguished_from_a_missing_one(tmp_path):
    with pytest.raises(StoreError, match="no store"):
        find_store(tmp_path / "n.zarr")
    (tmp_path / "n.zarr.partial").mkdir()
    with pytest.raises(StoreError, match="not finished"):
        find_store(tmp_path / "n.zarr")
    with pytest.raises(OutputError, match="There is no"):
        find_store(tmp_path / "n.geojson")
