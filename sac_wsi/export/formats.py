"""Choose the format of an export by the ending of its name, as QuPath does; the layout of our GeoJSON."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from sac_wsi.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# the header on the first line, then one feature per line
COLLECTION_START = b'{"type":"FeatureCollection","sac_wsi":'
FEATURES_START = b',"features":[\n'
SEPARATOR = b",\n"
COLLECTION_END = b"\n]}\n"

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


class Form(Enum):
    """The formats to which a store can be exported."""

    GEOJSON = "GeoJSON"
    GEOJSON_GZIP = "gzipped GeoJSON"
    GEOJSON_ZIP = "zip of GeoJSON parts"
    TIFF = "label image, 32-bit TIFF"
    PNG = "label image, 16-bit PNG"


_FORM_OF_ENDING = {
    ".geojson": Form.GEOJSON,
    ".json": Form.GEOJSON,
    ".geojson.gz": Form.GEOJSON_GZIP,
    ".json.gz": Form.GEOJSON_GZIP,
    ".zip": Form.GEOJSON_ZIP,
    ".tif": Form.TIFF,
    ".tiff": Form.TIFF,
    ".png": Form.PNG,
}


def export_form(path: Path) -> Form:
    """Return the format for the ending of a name; raise OutputError for an unknown one.

    Upper case is refused: other programs compare the exact ending, and QuPath silently loads nothing from a
    name with an unknown ending.

    >>> from pathlib import Path
    >>> export_form(Path("A12.geojson.gz")).value
    'gzipped GeoJSON'
    """
    for ending, form in _FORM_OF_ENDING.items():
        if path.name.endswith(ending) and path.name != ending:
            return form
    raise OutputError(
        f"{path.name!r} has no known ending. Give a name that ends in one of "
        f"{', '.join(_FORM_OF_ENDING)} (lower case)."
    )
