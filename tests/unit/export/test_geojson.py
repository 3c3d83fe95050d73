import gzip
import json
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from sac_wsi.errors import OutputError, StoreError
from sac_wsi.export.geojson import write_geojson
from sac_wsi.export.geojson_read import read_geojson_features
from sac_wsi.export.header import read_header
from sac_wsi.testing.rows import lattice_batches

HEADER = {"store": "Präparat 12.zarr", "origin_yx": [0, 17], "note": '],"features":[\n'}
NAMES = ["a.geojson", "a.json", "a.geojson.gz", "a.json.gz", "a.zip"]


def documents(path: Path) -> list[dict]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            return [json.loads(archive.read(name)) for name in archive.namelist()]
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as text:
        return [json.load(text)]


def ids(count: int) -> list[str]:
    return [bytes(uuid).hex() for rows in lattice_batches(count, batch_rows=7) for uuid in rows.uuid]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [0, 1, 20])
def test_any_reader_finds_every_nucleus_in_order(tmp_path, name, count):
    path = tmp_path / name
    written = write_geojson(path, lattice_batches(count, batch_rows=7), HEADER, part_rows=6)
    found = documents(path)
    assert [part["type"] for part in found] == ["FeatureCollection"] * written.parts
    assert [list(part) for part in found] == [["type", "sac_wsi", "features"]] * written.parts
    assert all(part["sac_wsi"] == HEADER for part in found)
    assert [f["id"].replace("-", "") for part in found for f in part["features"]] == ids(count)
    assert (written.nuclei, written.bytes) == (count, path.stat().st_size)


@pytest.mark.parametrize("name", NAMES)
def test_our_reader_streams_what_was_written(tmp_path, name):
    path = tmp_path / name
    write_geojson(path, lattice_batches(20, batch_rows=7), HEADER, part_rows=6)
    assert list(read_geojson_features(path)) == [f for part in documents(path) for f in part["features"]]
    assert read_header(path) == HEADER


def test_zip_parts_are_full_but_the_last_and_undated(tmp_path):
    write_geojson(tmp_path / "a.b.zip", lattice_batches(20, batch_rows=7), {}, part_rows=6)
    assert [len(part["features"]) for part in documents(tmp_path / "a.b.zip")] == [6, 6, 6, 2]
    with zipfile.ZipFile(tmp_path / "a.b.zip") as archive:
        assert archive.namelist() == [f"a.b_00{k}.geojson" for k in (1, 2, 3, 4)]
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_DEFLATED}


@pytest.mark.parametrize("name", NAMES)
def test_the_same_nuclei_give_the_same_bytes(tmp_path, name):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_geojson(tmp_path / folder / name, lattice_batches(20, batch_rows=7), HEADER, part_rows=6)
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_parts_hold_the_very_lines_of_the_whole(tmp_path):
    for name in ("a.geojson", "a.zip"):
        write_geojson(tmp_path / name, lattice_batches(20, batch_rows=7), {}, part_rows=6)
    whole = (tmp_path / "a.geojson").read_bytes().splitlines()[1:-1]
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        parts = [line for name in archive.namelist() for line in archive.read(name).splitlines()[1:-1]]
    assert [line.rstrip(b",") for line in parts] == [line.rstrip(b",") for line in whole]


def test_gzip_names_neither_file_nor_time(tmp_path):
    path = tmp_path / "secret-patient.geojson.gz"
    write_geojson(path, lattice_batches(1), {})
    assert path.read_bytes()[3:8] == b"\0\0\0\0\0"


@pytest.mark.parametrize("name", NAMES)
def test_a_failure_midway_leaves_nothing_and_the_old_file_as_it_was(tmp_path, name):
    def batches():
        yield from lattice_batches(7)
        raise KeyboardInterrupt

    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_geojson(tmp_path / name, batches(), {}, part_rows=3)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"old"


def test_memory_does_not_grow_with_the_nuclei(tmp_path):
    def peak(count):
        tracemalloc.start()
        write_geojson(tmp_path / f"{count}.zip", lattice_batches(count, batch_rows=200), {}, part_rows=1000)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(400)
    assert peak(8000) < 1.3 * peak(2000)


def test_many_nuclei_in_one_document_bring_advice(tmp_path, monkeypatch):
    monkeypatch.setattr("sac_wsi.export.geojson.MANY_NUCLEI", 10)
    assert write_geojson(tmp_path / "a.geojson", lattice_batches(10), {}).advice is None
    assert ".zip" in write_geojson(tmp_path / "a.geojson.gz", lattice_batches(11), {}).advice
    assert write_geojson(tmp_path / "a.zip", lattice_batches(11), {}).advice is None


def test_a_label_images_name_is_refused(tmp_path):
    with pytest.raises(OutputError, match=r"\.geojson\.gz or \.zip"):
        write_geojson(tmp_path / "a.tif", [], {})
    with pytest.raises(OutputError, match="not GeoJSON"):
        next(read_geojson_features(tmp_path / "a.tif"))


@pytest.mark.parametrize("name", ["a.geojson", "a.geojson.gz", "a.zip"])
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.98])
def test_a_cut_file_is_reported_not_taken_for_the_whole(tmp_path, name, kept):
    path = tmp_path / name
    write_geojson(path, lattice_batches(500), {})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(StoreError, match="Export it again"):
        list(read_geojson_features(path))


def test_a_cut_between_two_lines_is_reported(tmp_path):
    path = tmp_path / "a.geojson"
    write_geojson(path, lattice_batches(5), {})
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    with pytest.raises(StoreError, match="ends before its last feature"):
        list(read_geojson_features(path))


FEATURE = {"type": "Feature", "geometry": None, "properties": {}}


@pytest.mark.parametrize(
    "document", [{"type": "FeatureCollection", "features": [FEATURE, FEATURE]}, [FEATURE, FEATURE]]
)
def test_foreign_layouts_are_read_whole(tmp_path, document):
    path = tmp_path / "foreign.geojson"
    path.write_text(json.dumps(document, indent=2))
    assert list(read_geojson_features(path)) == [FEATURE, FEATURE]
    assert read_header(path) is None


@pytest.mark.parametrize(
    "text", ["7", '{"type": "FeatureCollection"}', "[1]", "", "{", '{"type": "Polygon"}']
)
def test_what_holds_no_features_is_refused(tmp_path, text):
    path = tmp_path / "foreign.geojson"
    path.write_text(text)
    with pytest.raises(StoreError):
        list(read_geojson_features(path))


def test_a_zip_without_geojson_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "")
    with pytest.raises(StoreError, match=r"contains no \.geojson"):
        list(read_geojson_features(tmp_path / "a.zip"))
