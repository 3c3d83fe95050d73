"""Named arrays in one file, any of them read without the others, each with a checksum.

    length of the header (8 bytes, little endian) | its crc32 (4) | header (JSON) | arrays, end to end

The header is ``{name: [dtype, shape, offset behind the header, crc32]}``. A block has some thirty small
arrays that are read again and again: as ``.npz`` (a zip of files with a header of Python text each) finding
them cost more than reading them. Numbers only; nothing in it is ever executed.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Arrays = dict[str, NDArray[Any]]

_PREFIX = struct.Struct("<QI")
_LARGEST_HEADER = 1 << 20


def write_columns(file: BinaryIO, arrays: Mapping[str, NDArray[Any]]) -> None:
    header: dict[str, Any] = {}
    offset = 0
    parts = [np.ascontiguousarray(array) for array in arrays.values()]
    for name, part in zip(arrays, parts, strict=True):
        if part.dtype.kind not in "biuf":
            raise TypeError(f"{name} is of {part.dtype}: needed numbers")
        header[name] = [part.dtype.str, part.shape, offset, zlib.crc32(part.data)]
        offset += part.nbytes
    encoded = json.dumps(header).encode()
    file.write(_PREFIX.pack(len(encoded), zlib.crc32(encoded)) + encoded)
    for part in parts:
        file.write(part.data)


def read_columns(path: Path, names: Sequence[str] | None = None) -> Arrays:
    """All arrays or the named ones. ValueError where the file is damaged, KeyError where a name lacks."""
    with path.open("rb", buffering=0) as file:
        handle = file.fileno()
        length, checksum = _PREFIX.unpack(_read(handle, _PREFIX.size, 0))
        if length > _LARGEST_HEADER:
            raise ValueError(f"a header of {length} bytes")
        encoded = _read(handle, length, _PREFIX.size)
        _check(encoded, checksum, "the header")
        header = json.loads(encoded)
        arrays = {}
        for name in names if names is not None else header:
            dtype, shape, offset, checksum = header[name]
            kind = np.dtype(dtype)
            size = kind.itemsize * int(np.prod(shape))
            data = _read(handle, size, _PREFIX.size + length + offset)
            _check(data, checksum, name)
            arrays[name] = np.frombuffer(data, kind).reshape(shape)
    return arrays


def _read(handle: int, size: int, offset: int) -> bytearray:
    """A bytearray, so that the array over it can be written to."""
    data = bytearray(size)
    at = memoryview(data)
    while at:
        count = os.preadv(handle, [at], offset + size - len(at))
        if count == 0:
            raise ValueError(f"the file ends {len(at)} bytes early")
        at = at[count:]
    return data


def _check(data: bytearray, checksum: int, name: str) -> None:
    if zlib.crc32(data) != checksum:
        raise ValueError(f"the checksum of {name} is wrong")
