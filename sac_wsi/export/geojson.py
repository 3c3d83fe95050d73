"""Write nuclei as GeoJSON for QuPath: plain, gzipped, or a zip of parts.

The document is never in memory as a whole: rows arrive in batches, and one chunk is formatted while the
previous one is compressed. The same rows and header give the same bytes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import IO, TYPE_CHECKING, BinaryIO

import numpy as np
import orjson
from isal import igzip
from numpy.typing import NDArray

from sac_wsi.errors import OutputError
from sac_wsi.export.features import feature_lines
from sac_wsi.export.formats import (
    COLLECTION_END,
    COLLECTION_START,
    FEATURES_START,
    SEPARATOR,
    Form,
    Json,
    export_form,
)
from sac_wsi.files.atomic import atomic_file, nothing

if TYPE_CHECKING:
    from pathlib import Path

    from sac_wsi.nuclei.table import NucleusRows

PART_ROWS = 50_000
MANY_NUCLEI = 100_000

OpenPart = Callable[[int], AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True)
class GeoJsonWritten:
    """What was written; ``advice`` is a sentence for the user, or None."""

    nuclei: int
    parts: int
    bytes: int
    advice: str | None


@dataclass(frozen=True)
class _Chunk:
    part: int
    nuclei: int
    lines: NDArray[np.uint8]


def write_geojson(
    path: Path,
    batches: Iterable[NucleusRows],
    header: Mapping[str, Json],
    *,
    part_rows: int = PART_ROWS,
    may_replace: Callable[[Path], bool] = nothing,
) -> GeoJsonWritten:
    """Write nuclei in the given order.

    Args:
        path: The file; its ending decides the format (see ``export_form``).
        batches: Rows of the nuclei table; another thread iterates over it.
        header: Where the nuclei come from. It is the member "sac_wsi" before the features; other readers
            ignore it.
        part_rows: A zip is divided into parts of at most this many nuclei.
        may_replace: Asked if there is a file of that name when the new one is complete.
    """
    form = export_form(path)
    if form not in (Form.GEOJSON, Form.GEOJSON_GZIP, Form.GEOJSON_ZIP):
        raise OutputError(
            f"{path.name!r} is the name of a {form.value}, not of GeoJSON. Try .geojson.gz or .zip."
        )
    opening = COLLECTION_START + orjson.dumps(header) + FEATURES_START
    chunks = _chunks(batches, part_rows if form is Form.GEOJSON_ZIP else None)
    with atomic_file(path, may_replace) as file, ExitStack() as archive:
        open_part = _part_opener(form, file, path, archive)
        counts = [
            _write_collection(open_part(number), opening, part)
            for number, part in groupby(_one_ahead(chunks), key=lambda chunk: chunk.part)
        ]
    nuclei = sum(counts)
    return GeoJsonWritten(nuclei, len(counts), path.stat().st_size, _advice(form, nuclei))


def _chunks(batches: Iterable[NucleusRows], part_rows: int | None) -> Iterator[_Chunk]:
    """Yield formatted nuclei, split where a batch or a part ends; one empty chunk if there are no nuclei."""
    written = 0
    for rows in batches:
        first = 0
        while first < len(rows):
            part, in_part = divmod(written, part_rows) if part_rows else (0, 0)
            stop = min(len(rows), first + part_rows - in_part) if part_rows else len(rows)
            yield _Chunk(part + 1, stop - first, feature_lines(rows, first, stop))
            written += stop - first
            first = stop
    if written == 0:
        yield _Chunk(1, 0, np.empty(0, np.uint8))


def _one_ahead(chunks: Iterator[_Chunk]) -> Iterator[_Chunk]:
    """Yield the same chunks; each is made while the caller uses the previous one."""
    with ThreadPoolExecutor(1, "geojson") as pool:
        coming = pool.submit(next, chunks, None)
        while (chunk := coming.result()) is not None:
            coming = pool.submit(next, chunks, None)
            yield chunk


def _part_opener(form: Form, file: BinaryIO, path: Path, archive: ExitStack) -> OpenPart:
    """Return the function that opens part 1, 2, … for writing; only a zip has more than one."""
    if form is Form.GEOJSON_GZIP:
        # no name and no time in the gzip header: with them equal files would differ
        return lambda _: igzip.IGzipFile(filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0)
    if form is Form.GEOJSON:
        return lambda _: nullcontext(file)
    writer = zipfile.ZipFile(file, "w", compression=zipfile.ZIP_DEFLATED, compresslevel=1)
    archive.enter_context(writer)
    return partial(_open_zip_part, writer, path.name.removesuffix(".zip").removesuffix(".geojson"))


def _open_zip_part(writer: zipfile.ZipFile, stem: str, number: int) -> IO[bytes]:
    # an entry that is opened by name has the date 1980-01-01 in every run
    return writer.open(f"{stem}_{number:03d}.geojson", "w")


def _write_collection(
    opened: AbstractContextManager[IO[bytes]], opening: bytes, chunks: Iterable[_Chunk]
) -> int:
    nuclei = 0
    with opened as sink:
        sink.write(opening)
        for chunk in chunks:
            if nuclei:
                sink.write(SEPARATOR)
            sink.write(chunk.lines.data)
            nuclei += chunk.nuclei
        sink.write(COLLECTION_END)
    return nuclei


def _advice(form: Form, nuclei: int) -> str | None:
    if nuclei <= MANY_NUCLEI or form is Form.GEOJSON_ZIP:
        return None
    return (
        f"{nuclei:,} nuclei in one document: QuPath reads it whole and may need 10 GB of memory for a "
        f"million. Export to a name that ends in .zip: parts of {PART_ROWS:,} load in 2 GB."
    )
