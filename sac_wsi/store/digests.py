"""Digests of a store's arrays, kept in its attributes: damage and later changes are noticed when it is read.

zarr's own checksums find a changed chunk, but a missing one is read as zeros, and a changed type is not
noticed.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from sac_wsi.errors import StoreError
from sac_wsi.files.regular import hash_into
from sac_wsi.store.provenance import read_provenance

if TYPE_CHECKING:
    from collections.abc import Iterator

DIGESTS = "digests"
"""Key in the attribute ``sac_wsi``; stores of earlier versions lack it."""


def array_digests(store: Path) -> dict[str, str]:
    """Return for each array the SHA-256 of its files: their names and their content."""
    return {name: _digest(store / name) for name in sorted(_arrays(store))}


def damaged_arrays(store: Path, prefix: str = "") -> list[str]:
    """Return the names of the arrays that are not as they were written; empty for a store without digests.

    Args:
        store: The store.
        prefix: Look only at arrays whose names begin so.
    """
    known = read_provenance(store, any_format=True).get(DIGESTS)
    if not isinstance(known, dict):
        return []
    there = {name for name in _arrays(store) if name.startswith(prefix)}
    wanted = {name for name in known if name.startswith(prefix)}
    return sorted(
        name for name in there | wanted if name not in there or _digest(store / name) != known.get(name)
    )


def refuse_damaged(store: Path, prefix: str = "") -> None:
    """Raise StoreError if an array is not as it was written."""
    if damaged := damaged_arrays(store, prefix):
        raise StoreError(
            f"{store} is damaged or was changed: {', '.join(damaged[:3])} is not what was written. Run "
            "`segment` again with --overwrite."
        )


def _arrays(store: Path) -> Iterator[str]:
    """Yield the names of the arrays: folders with metadata and chunks, not the groups above them."""
    for here, folders, files in os.walk(store):
        name = Path(here).relative_to(store).as_posix()
        if "c" in folders:
            folders.remove("c")  # chunks
        if "zarr.json" in files and name not in (".", "nuclei"):
            yield name


def _digest(array: Path) -> str:
    digest = hashlib.sha256()
    try:
        for here, folders, files in os.walk(array):
            folders.sort()
            for file in sorted(files):
                path = Path(here, file)
                name = path.relative_to(array).as_posix().encode("utf-8", "surrogateescape")
                digest.update(len(name).to_bytes(8, "little") + name)
                digest.update(path.stat().st_size.to_bytes(8, "little"))
                hash_into(digest, path)
    except OSError as error:
        raise StoreError(f"{array} cannot be read: {error.strerror}.") from error
    return digest.hexdigest()
