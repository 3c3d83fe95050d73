"""Where a file came from: the header that every export carries, read from the beginning of the file."""

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
    """The header an export of ours was written with; None where the file carries none.

    No pixel and no feature is read.
    """
    form = export_form(path)
    if form is Form.TIFF:
        return _as_header(_tiff_description(path))
    if form is Form.PNG:
        return _as_header(_png_text(path))
    return read_geojson_header(path)


def _tiff_description(path: Path) -> str:
    import tifffile  # takes a tenth of a second, and is seldom needed

    try:
        with tifffile.TiffFile(path) as tiff:
            return str(tiff.pages.first.description)
    except tifffile.TiffFileError as error:
        raise StoreError(
            f"{path} is damaged or no TIFF ({error}). Export it again with `sac-wsi export`."
        ) from error


def _png_text(path: Path) -> str:
    """Our text chunk, found by walking the chunks: an image library would refuse one this large."""
    with path.open("rb") as file:
        if file.read(len(PNG_SIGNATURE)) != PNG_SIGNATURE:
            raise StoreError(f"{path} is damaged or no PNG. Export it again with `sac-wsi export`.")
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
