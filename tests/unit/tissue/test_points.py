"""Points that a person set, read from GeoJSON."""

import json

import pytest

from sac_wsi.errors import RequestError
from sac_wsi.tissue.points import points_from_geojson

SHAPE_YX = (100, 200)


@pytest.fixture
def written(tmp_path):
    def write(document):
        path = tmp_path / "points.geojson"
        path.write_text(json.dumps(document))
        return path

    return write


def feature(geometry, classification=None):
    return {"type": "Feature", "geometry": geometry, "properties": {"classification": classification}}


def points(*xy):
    return {"type": "MultiPoint", "coordinates": [list(each) for each in xy]}


def test_points_are_yx_and_the_class_says_whether_there_is_a_nucleus(written):
    document = {
        "type": "FeatureCollection",
        "features": [
            feature(points((150, 20), (3, 4)), {"name": "Nucleus"}),
            feature({"type": "Point", "coordinates": [1, 2, 7]}, {"name": " Ignore* "}),
            feature(None),
            feature(points((5, 6)), "negative"),
            feature(points((7, 8))),
        ],
    }
    found = points_from_geojson(written(document), SHAPE_YX)
    assert found.yx_level0.tolist() == [[20, 150], [4, 3], [2, 1], [6, 5], [8, 7]]
    assert found.positive.tolist() == [True, True, False, False, True]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "contains no point: needed Points or MultiPoints"),
        (points(), "contains no point"),
        ({"type": "Polygon", "coordinates": []}, "contains a Polygon"),
        (
            points((1, 2), (200, 3)),
            "1 of 2 points lie outside the slide of 200 x 100 .*the first at x 200, y 3",
        ),
        (points((-1, 2)), "outside the slide"),
        ({"type": "Point", "coordinates": [1]}, "not valid GeoJSON|broken Point"),
    ],
)
def test_files_without_usable_points_are_refused(written, document, message):
    with pytest.raises(RequestError, match=message):
        points_from_geojson(written(document), SHAPE_YX)
