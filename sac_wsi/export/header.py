"""Read the header of an exported file, which says where the file came from."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import orjson

from sac_wsi.errors import StoreError
from sac_wsi.export.formats import Form, export_form
from sac_wsi.export.geojson_read import read_geojson_header
from sac_wsi.export.png import PNG_KEYWORD, PNG_SIGNATURE

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST_CHUNK = 16 << 20


def read_header(path: Path) -> dict[str, Any] | None:
    """Return the header of an export of ours; None if the file has no such header.

    No pixel and no feature is read.
    """
    form = export_form(path)
    if form is Form.TIFF:
        return _as_header(_tiff_description(path))
    if form is Form.PNG:
        return _as_header(_png_text(path))
    return read_geojson_header(path)


def _tiff_description(path: Path) -> str:
    import tifffile  # its import takes a tenth of a second and is rarely needed

    try:
        with tifffile.TiffFile(path) as tiff:
            return str(tiff.pages.first.description)
    except tifffile.TiffFileError as error:
        raise StoreError(
            f"{path} is damaged or not a TIFF ({error}). Export it again with `sac-wsi export`."
        ) from error


def _png_text(path: Path) -> str:
    """Return the text of our chunk; image libraries refuse text chunks of this size."""
    with path.open("rb") as file:
        if file.read(len(PNG_SIGNATURE)) != PNG_SIGNATURE:
            raise StoreError(f"{path} is damaged or not a PNG. Export it again with `sac-wsi export`.")
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            if kind == b"IDAT":
                break
            if kind == b"tEXt" and size <= _LARGEST_CHUNK:
                keyword, _, text = file.read(size).partition(b"\0")
                if keyword == PNG_KEYWORD:
                    return text.decode("latin-1")
                file.seek(4, 1)
            else:
                file.seek(size + 4, 1)
    return ""


def _as_header(text: str) -> dict[str, Any] | None:
    try:
        header = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return header if isinstance(header, dict) else None
