from pathlib import Path

import pytest

from sac_wsi.errors import OutputError
from sac_wsi.export.formats import Form, export_form


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.geojson", Form.GEOJSON),
        ("a.json", Form.GEOJSON),
        ("a.b.geojson.gz", Form.GEOJSON_GZIP),
        ("a.json.gz", Form.GEOJSON_GZIP),
        ("a.zip", Form.GEOJSON_ZIP),
        ("a.tif", Form.TIFF),
        ("a.tiff", Form.TIFF),
        ("a.png", Form.PNG),
    ],
)
def test_the_ending_decides(name, form):
    assert export_form(Path("folder") / name) is form


@pytest.mark.parametrize(
    "name", ["a", "a.gz", "a.GEOJSON", "a.ndjson", "a.geojson.bz2", ".zip", "a.geojson "]
)
def test_other_names_are_refused_with_the_list(name):
    with pytest.raises(OutputError, match=r"\.geojson, \.json, \.geojson\.gz.*\.png"):
        export_form(Path(name))
