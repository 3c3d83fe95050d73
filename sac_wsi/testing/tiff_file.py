"""Write a tiled TIFF of JPEG tiles; tiles of all levels may come in any mix.

tifffile is not used: it needs imagecodecs to accept encoded tiles, and writes one level after the other. The
file has no dates and no names: the same tiles give the same bytes.
"""

from __future__ import annotations

from fractions import Fraction
from struct import calcsize, pack
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_SHORT, _LONG, _RATIONAL, _LONG8 = 3, 4, 5, 16
_STRUCT_CODE = {_SHORT: "H", _LONG: "I", _RATIONAL: "I", _LONG8: "Q"}
_JPEG, _YCBCR, _CHUNKY, _CENTIMETRE = 7, 6, 1, 3
_REDUCED = 1

Entry: TypeAlias = tuple[int, int, list[int]]
"""Tag, type, values; a rational is two values."""


class PyramidFile:
    """A TIFF file open for writing. Leaving the context writes the directories.

    ``mpp`` None leaves out the resolution. ``big`` is BigTIFF, needed above 4 GB.
    """

    def __init__(
        self, path: Path, shapes: list[tuple[int, int]], tile_px: int, mpp: float | None, *, big: bool
    ) -> None:
        self._shapes, self._tile_px, self._mpp = shapes, tile_px, mpp
        self._offset_type = _LONG8 if big else _LONG
        self._offset_code = _STRUCT_CODE[self._offset_type]
        self._count_code = "Q" if big else "H"
        self._offsets: list[list[int]] = [[] for _ in shapes]
        self._sizes: list[list[int]] = [[] for _ in shapes]
        self._file = path.open("wb")
        self._file.write(pack("<2sHHHQ", b"II", 43, 8, 0, 0) if big else pack("<2sHI", b"II", 42, 0))
        self._next_directory = self._file.tell() - calcsize(self._offset_code)

    def __enter__(self) -> PyramidFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if error is None:
                for level in range(len(self._shapes)):
                    self._write_directory(self._entries(level))

    def add(self, level: int, tile: bytes) -> None:
        """Add a JPEG tile; each level needs its tiles in reading order."""
        self._offsets[level].append(self._file.tell())
        self._sizes[level].append(len(tile))
        self._file.write(tile)

    def _entries(self, level: int) -> list[Entry]:
        height, width = self._shapes[level]
        entries: list[Entry] = [
            (254, _LONG, [_REDUCED if level else 0]),
            (256, _LONG, [width]),
            (257, _LONG, [height]),
            (258, _SHORT, [8, 8, 8]),
            (259, _SHORT, [_JPEG]),
            (262, _SHORT, [_YCBCR]),
            (277, _SHORT, [3]),
            (284, _SHORT, [_CHUNKY]),
            (322, _LONG, [self._tile_px]),
            (323, _LONG, [self._tile_px]),
            (324, self._offset_type, self._offsets[level]),
            (325, _LONG, self._sizes[level]),
            (530, _SHORT, [2, 2]),  # chroma at half resolution along both axes
        ]
        if self._mpp is not None:
            per_cm = _pixels_per_cm(self._mpp * self._shapes[0][1] / width)
            entries += [(282, _RATIONAL, per_cm), (283, _RATIONAL, per_cm), (296, _SHORT, [_CENTIMETRE])]
        return sorted(entries)

    def _write_directory(self, entries: list[Entry]) -> None:
        inline = calcsize(self._offset_code)
        rows = []
        for tag, kind, values in entries:
            data = pack(f"<{len(values)}{_STRUCT_CODE[kind]}", *values)
            if len(data) > inline:
                data = pack("<" + self._offset_code, self._append(data))
            count = len(values) // 2 if kind == _RATIONAL else len(values)
            rows.append(pack(f"<HH{self._offset_code}", tag, kind, count) + data.ljust(inline, b"\0"))
        table = pack("<" + self._count_code, len(rows)) + b"".join(rows)
        start = self._append(table + bytes(inline))
        self._file.seek(self._next_directory)
        self._file.write(pack("<" + self._offset_code, start))
        self._next_directory = start + len(table)

    def _append(self, data: bytes) -> int:
        """Append data at an even offset, as TIFF requires, and return the offset."""
        start = self._file.seek(0, 2)
        if start % 2:
            self._file.write(b"\0")
            start += 1
        self._file.write(data)
        return start


def _pixels_per_cm(mpp: float) -> list[int]:
    """Return a fraction of two 32-bit numbers, exact for the usual resolutions."""
    per_cm = 10_000 / Fraction(repr(mpp))
    if max(per_cm.numerator, per_cm.denominator) >= 2**32:
        per_cm = per_cm.limit_denominator(1000)
    return [per_cm.numerator, per_cm.denominator]
