"""Check that a TIFF's chain of directories is complete; OpenSlide does so, Pillow reads only the first."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

_BIG_TIFF = 43
_MAX_DIRECTORIES = 100_000


def chain_damage(path: Path) -> str | None:
    """Return what is wrong with the chain of directories; None if it is complete or the file is no TIFF."""
    with path.open("rb") as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 16:
            return None
        big = struct.unpack_from(f"{order}H", head, 2)[0] == _BIG_TIFF
        offset: int | None = struct.unpack_from(f"{order}Q" if big else f"{order}I", head, 8 if big else 4)[0]
        seen: set[int] = set()
        while offset:
            if offset in seen or len(seen) == _MAX_DIRECTORIES:
                return "its TIFF directories form a loop"
            seen.add(offset)
            offset = _next(file, offset, order, big)
        return None if offset == 0 else "a TIFF directory lies past its end"


def _next(file: BinaryIO, offset: int, order: str, big: bool) -> int | None:
    """Return the offset of the next directory; 0 after the last one, None if the file ends before."""
    count_code, entry_bytes, link_code = ("Q", 20, "Q") if big else ("H", 12, "I")
    count = _number(file, offset, order + count_code)
    if count is None:
        return None
    link = offset + struct.calcsize(order + count_code) + entry_bytes * count
    return _number(file, link, order + link_code)


def _number(file: BinaryIO, offset: int, code: str) -> int | None:
    if offset >= 2**63:
        return None
    file.seek(offset)
    data = file.read(struct.calcsize(code))
    return int(struct.unpack(code, data)[0]) if len(data) == struct.calcsize(code) else None
