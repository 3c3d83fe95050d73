"""Identify a slide by a hash of its content; name, folder and time do not matter."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_ENDS_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 16
_BLOCKS = 16


def fingerprint(files: Sequence[Path]) -> str:
    """Return the SHA-256 over size, first MiB, last MiB and 16 blocks between, of each file.

    For several files their paths in their common folder count, too; a single file may be renamed.
    """
    digest = hashlib.sha256()
    if len(files) == 1:
        _add(digest, files[0])
        return digest.hexdigest()
    folder = _common_folder(files)
    for name, path in sorted((p.relative_to(folder).as_posix(), p) for p in files):
        encoded = name.encode("utf-8", "surrogateescape")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
        _add(digest, path)
    return digest.hexdigest()


def _add(digest: hashlib._Hash, path: Path) -> None:
    size = path.stat().st_size
    digest.update(size.to_bytes(8, "little"))
    with path.open("rb") as file:
        for start, count in _parts(size):
            file.seek(start)
            digest.update(file.read(count))


def _parts(size: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a file of this size that are read, as (start, count) in bytes."""
    if size <= 2 * _ENDS_BYTES + _BLOCKS * _BLOCK_BYTES:
        yield 0, size
        return
    yield 0, _ENDS_BYTES
    between = size - 2 * _ENDS_BYTES - _BLOCK_BYTES
    for i in range(_BLOCKS):
        yield _ENDS_BYTES + between * i // (_BLOCKS - 1), _BLOCK_BYTES
    yield size - _ENDS_BYTES, _ENDS_BYTES


def _common_folder(files: Sequence[Path]) -> Path:
    folder = files[0].parent
    while not all(path.is_relative_to(folder) for path in files):
        folder = folder.parent
    return folder
