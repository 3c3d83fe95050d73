import json
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import numpy as np
import orjson
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sac_wsi.errors import StoreError
from sac_wsi.export.features import feature_lines, fixed_point
from sac_wsi.nuclei.table import MEASUREMENTS
from sac_wsi.testing.rows import lattice_rows

ROWS = lattice_rows(0, 5)
INT32 = np.iinfo(np.int32)


def parsed(rows, first=0, stop=None):
    lines = bytes(feature_lines(rows, first, len(rows) if stop is None else stop)).split(b",\n")
    return [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in lines]


def with_ring(xy_centipx):
    xy = np.asarray(xy_centipx, np.int32)
    return replace(lattice_rows(0, 1), polygon_start=np.array([0, len(xy)]), polygon_xy_centipx=xy)


@settings(deadline=None)
@given(
    hnp.arrays(np.int32, st.tuples(st.integers(3, 9), st.just(2)), elements=st.integers(INT32.min, INT32.max))
)
def test_coordinates_are_the_tables_exactly(xy_centipx):
    (feature,) = parsed(with_ring(xy_centipx))
    (ring,) = feature["geometry"]["coordinates"]
    assert ring[0] == ring[-1]
    assert [[x * 100, y * 100] for x, y in ring[:-1]] == xy_centipx.tolist()


@settings(deadline=None)
@given(st.integers(INT32.min, INT32.max))
def test_a_coordinate_has_no_more_digits_than_it_needs(centipx):
    text = bytes(feature_lines(with_ring([[centipx, 0]] * 3), 0, 1)).decode()
    written = text.split("[[[")[1].split(",")[0]
    assert written == format(Decimal(centipx).scaleb(-2).normalize(), "f")


@settings(deadline=None)
@given(st.floats(width=32))
def test_a_measurement_is_rounded_to_four_decimals_or_left_out(value):
    rows = lattice_rows(0, 1)
    rows.measurements[0, 4] = value
    written = parsed(rows)[0]["properties"]["measurements"].get(MEASUREMENTS[4])
    if np.isfinite(value) and abs(value) < 2**62 / 10_000:
        assert abs(float(written) - value) <= max(0.5e-4, abs(value) * 1e-15) * (1 + 1e-9)
        assert -written.as_tuple().exponent <= 4
    else:
        assert written is None


def test_a_feature_is_what_qupath_takes():
    for i, feature in enumerate(parsed(ROWS)):
        assert list(feature) == ["type", "id", "geometry", "properties"]
        assert feature["type"] == "Feature"
        assert feature["id"] == str(UUID(bytes=ROWS.uuid[i].tobytes()))
        assert feature["properties"]["objectType"] == "detection"
        assert feature["properties"]["classification"] == {"name": "Nucleus", "color": [200, 0, 0]}
        assert list(feature["properties"]["measurements"]) == [*MEASUREMENTS, "Detection probability"]
        polygon = shapely.geometry.shape(orjson.loads(feature_lines(ROWS, i, i + 1).data)["geometry"])
        assert polygon.is_valid
        assert polygon.area == pytest.approx(shapely.Polygon(ROWS.polygon_px(i)).area, abs=1e-6)


def test_all_measurements_unknown_is_an_empty_map():
    rows = replace(
        ROWS, measurements=np.full_like(ROWS.measurements, np.nan), score=np.full(5, np.nan, np.float32)
    )
    assert parsed(rows)[0]["properties"]["measurements"] == {}


def test_a_slice_of_a_batch_is_that_slice():
    assert parsed(ROWS, 2, 4) == parsed(ROWS)[2:4]


def test_read_only_columns_do():
    rows = lattice_rows(0, 3)
    for column in (rows.uuid, rows.polygon_start, rows.polygon_xy_centipx, rows.measurements, rows.score):
        column.flags.writeable = False
    assert parsed(rows) == parsed(lattice_rows(0, 3))


def test_a_ring_of_two_vertices_is_refused_and_named():
    rows = replace(lattice_rows(6, 8), polygon_start=np.array([0, 40, 42]))
    with pytest.raises(StoreError, match=r"Nucleus 8 has a polygon of 2 vertices.*sac-wsi verify"):
        feature_lines(rows, 0, 2)


def test_the_buffer_is_enough_for_the_longest_numbers():
    rows = with_ring([[INT32.min, INT32.min + 1]] * 50)
    rows.measurements[:] = -np.float32(2**62 / 10_000 * 0.999)
    assert len(parsed(rows)[0]["geometry"]["coordinates"][0]) == 51


def test_fixed_point_knows_what_json_cannot_say():
    fixed, known = fixed_point(np.array([[1.25, np.nan, np.inf, -np.inf, 3e38]], np.float32))
    assert known.tolist() == [[True, False, False, False, False]]
    assert fixed[0, 0] == 12_500
