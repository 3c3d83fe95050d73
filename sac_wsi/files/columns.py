"""Write named arrays to one file; read any of them without the others, each checked by its checksum.

    length of the header (8 bytes, little endian) | its crc32 (4) | header (JSON) | arrays, end to end

The header is ``{name: [dtype, shape, offset after the header, crc32]}``. A block has about thirty small
arrays that are read many times: in an ``.npz`` (a zip of files, each with a header of Python text) finding an
array took longer than reading it. Arrays hold numbers only; nothing in the file is ever executed.
"""

from __future__ import annotations

import json
import struct
import zlib
from io import FileIO
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sac_wsi.system.disk import open_to_read

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Arrays = dict[str, NDArray[Any]]

_PREFIX = struct.Struct("<QI")
_LARGEST_HEADER = 1 << 20


def write_columns(file: BinaryIO, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays of numbers; raise TypeError for any other array."""
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
    """Return all arrays of a file, or only those in ``names``.

    Raises:
        ValueError: The file is damaged.
        KeyError: The file does not have an array of that name.
    """
    with FileIO(open_to_read(path), "rb") as file:
        length, checksum = _PREFIX.unpack(_read(file, _PREFIX.size, 0))
        if length > _LARGEST_HEADER:
            raise ValueError(f"a header of {length} bytes")
        encoded = _read(file, length, _PREFIX.size)
        _check(encoded, checksum, "the header")
        header = json.loads(encoded)
        arrays = {}
        for name in names if names is not None else header:
            dtype, shape, offset, checksum = header[name]
            kind = np.dtype(dtype)
            size = kind.itemsize * int(np.prod(shape))
            data = _read(file, size, _PREFIX.size + length + offset)
            _check(data, checksum, name)
            arrays[name] = np.frombuffer(data, kind).reshape(shape)
    return arrays


def _read(file: FileIO, size: int, offset: int) -> bytearray:
    """Return bytes of a file as a bytearray, so that the array over them can be written to."""
    data = bytearray(size)
    left = memoryview(data)
    file.seek(offset)
    while left:
        count = file.readinto(left)
        if not count:
            raise ValueError(f"the file ends {len(left)} bytes early")
        left = left[count:]
    return data


def _check(data: bytearray, checksum: int, name: str) -> None:
    if zlib.crc32(data) != checksum:
        raise ValueError(f"the checksum of {name} is wrong")
