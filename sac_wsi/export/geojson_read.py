"""Read GeoJSON: our own files as a stream, one feature per line; any other layout as a whole."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from contextlib import contextmanager
from io import BufferedReader, RawIOBase
from typing import IO, TYPE_CHECKING, Any, TypeAlias, cast

import orjson
from isal import igzip
from isal.igzip_lib import IsalError

from sac_wsi.errors import OutputError, StoreError
from sac_wsi.export.formats import (
    COLLECTION_END,
    COLLECTION_START,
    FEATURES_START,
    SEPARATOR,
    Form,
    export_form,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Feature: TypeAlias = dict[str, Any]

_DAMAGE: tuple[type[Exception], ...] = (
    EOFError,
    orjson.JSONDecodeError,
    gzip.BadGzipFile,
    zipfile.BadZipFile,
    zlib.error,
    cast("type[Exception]", IsalError),  # its stub calls the class an instance
)
_LONGEST_OPENING = 16 << 20
_BUFFER = 1 << 20


def read_geojson_features(path: Path) -> Iterator[Feature]:
    """Yield the features of a GeoJSON file, plain, gzipped or zipped; raise StoreError if it is damaged.

    One feature is in memory at a time for a file of ours. Any other layout is parsed as a whole.
    """
    with _damage_reported(path):
        for document in _documents(path):
            yield from _features(document, path)


def read_geojson_header(path: Path) -> dict[str, Any] | None:
    """Return the member "sac_wsi" of a file of ours, read from its first line; None for any other file."""
    with _damage_reported(path):
        for first in _documents(path):
            return _header_of(first.readline(_LONGEST_OPENING))
    return None


def _header_of(opening: bytes) -> dict[str, Any] | None:
    if not _is_ours(opening):
        return None
    header = orjson.loads(opening[len(COLLECTION_START) : -len(FEATURES_START)])
    return header if isinstance(header, dict) else None


@contextmanager
def _damage_reported(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise StoreError(
            f"{path} is damaged or not GeoJSON ({error}). Export it again with `sac-wsi export`."
        ) from error


def _documents(path: Path) -> Iterator[IO[bytes]]:
    """Yield each GeoJSON document of the file, open until the next one is requested."""
    form = export_form(path)
    if form is Form.GEOJSON_ZIP:
        yield from _zip_entries(path)
    elif form is Form.GEOJSON_GZIP:
        with igzip.open(path, "rb") as text:
            yield text
    elif form is Form.GEOJSON:
        with path.open("rb") as text:
            yield text
    else:
        raise OutputError(f"{path} is a {form.value}, not GeoJSON. Give a .geojson, .geojson.gz or .zip.")


def _zip_entries(path: Path) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith((".geojson", ".json"))]
        if not names:
            raise StoreError(f"{path} contains no .geojson. Export it again with `sac-wsi export`.")
        for name in names:
            with archive.open(name) as text:
                yield text


def _is_ours(opening: bytes) -> bool:
    return opening.startswith(COLLECTION_START) and opening.endswith(FEATURES_START)


def _features(document: IO[bytes], path: Path) -> Iterator[Feature]:
    opening = document.readline(_LONGEST_OPENING)
    if not _is_ours(opening):
        yield from _features_of_whole(orjson.loads(opening + document.read()), path)
        return
    end = COLLECTION_END.strip()
    # reading lines directly from a zip entry is slow
    lines = BufferedReader(cast("RawIOBase", document), _BUFFER)
    try:
        for line in lines:
            if line.strip() == end:
                return
            if line.strip():
                yield orjson.loads(line.rstrip(SEPARATOR))
    finally:
        lines.detach()  # who opened the document closes it
    raise StoreError(f"{path} ends before its last feature. Export it again with `sac-wsi export`.")


def _features_of_whole(document: object, path: Path) -> Iterator[Feature]:
    """Yield the features of a FeatureCollection, a list or one feature: the layouts that QuPath reads."""
    if isinstance(document, dict) and document.get("type") == "FeatureCollection":
        document = document.get("features")
    elif isinstance(document, dict) and document.get("type") == "Feature":
        document = [document]
    if not isinstance(document, list) or not all(isinstance(feature, dict) for feature in document):
        raise StoreError(f"{path} contains no GeoJSON features. Give a FeatureCollection.")
    yield from document
