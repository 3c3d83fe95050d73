"""Regions and points from files: any content gives geometries or one message without text of the file."""

import gzip
import json
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sac_wsi.errors import RequestError
from sac_wsi.tissue.annotations import read_annotations

SECRET = "JANE DOE"
NUMBERS = st.one_of(
    st.integers(-10, 2000), st.floats(), st.just(10**400), st.none(), st.booleans(), st.just(SECRET)
)
NAMES = ["type", "features", "geometry", "geometries", "coordinates", "properties"]
KINDS = ["Feature", "FeatureCollection", "GeometryCollection", "Polygon", "Point", SECRET]
JSON = st.recursive(
    st.one_of(NUMBERS, st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
        st.builds(
            lambda kind, more: {"type": kind, **more},
            st.sampled_from(KINDS),
            st.dictionaries(st.sampled_from(NAMES[1:5]), inner, max_size=3),
        ),
    ),
    max_leaves=20,
)


def read(path):
    """Return the geometries, or the message."""
    try:
        return read_annotations(path, ("Polygon", "MultiPolygon"))
    except RequestError as error:
        message = str(error)
    assert "\n" not in message
    assert SECRET not in message
    assert len(message) < 400
    return message


@given(JSON)
@example({"type": ["a"]})
@example({"type": "Polygon", "coordinates": [[[0, 0], [10**400, 0], [5, 5]]]})
@example({"type": "Polygon", "coordinates": SECRET})
def test_any_json_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("r") / "r.geojson"
    path.write_text(json.dumps(content))
    read(path)


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("r") / "r.geojson"
    for data in (content, b"\x1f\x8b" + content, gzip.compress(content)):
        path.write_bytes(data)
        assert isinstance(read(path), str | list)


@pytest.mark.parametrize("depth", [600, 100_000])
def test_nested_lists(tmp_path, depth):
    (tmp_path / "r.geojson").write_text("[" * depth + "]" * depth)
    assert read(tmp_path / "r.geojson") == [] or "nested" in str(read(tmp_path / "r.geojson")) or depth > 600


def test_coordinates_that_no_slide_has(tmp_path):
    ring = [[0, 0], [1e308, 0], [1e308, 1e308], [0, 0]]
    (tmp_path / "r.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    assert "no pixels of a slide" in read(tmp_path / "r.geojson")


def test_a_gzip_bomb_and_what_is_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("sac_wsi.tissue.annotations._LARGEST_BYTES", 1 << 20)
    (tmp_path / "bomb.geojson").write_bytes(gzip.compress(b" " * (1 << 21)))
    assert "more than 1 MiB" in read(tmp_path / "bomb.geojson")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("fifo", "zero", "missing", "."):
        assert "cannot be read" in read(tmp_path / name)
