"""Which file an export is, by its name's ending alone: the endings QuPath's own reader goes by."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from sac_wsi.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


class Form(Enum):
    """The forms a store can be exported to."""

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
    """The form that the name asks for.

    Upper case is refused: other programs go by the exact ending, and QuPath loads nothing, silently,
    from a name it does not know.

    >>> from pathlib import Path
    >>> export_form(Path("A12.geojson.gz")).value
    'gzipped GeoJSON'
    """
    for ending, form in _FORM_OF_ENDING.items():
        if path.name.endswith(ending) and path.name != ending:
            return form
    raise OutputError(
        f"{path.name!r} has no ending that can be exported to. Give a name that ends in one of "
        f"{', '.join(_FORM_OF_ENDING)} (lower case)."
    )
