"""Read regular files only: no FIFO makes a run wait, no device fills the memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sac_wsi.system.disk import open_to_read

if TYPE_CHECKING:
    import hashlib
    from pathlib import Path

_AT_ONCE_BYTES = 1 << 20


def read_regular(path: Path, most_bytes: int, *, follow_links: bool = False) -> bytes:
    """Return the content of a regular file.

    Args:
        path: The file.
        most_bytes: Largest size that is read.
        follow_links: Read the file that a link points to.

    Raises:
        OSError: It cannot be read, or is a link, a FIFO or a device.
        ValueError: It is larger.
    """
    with os.fdopen(open_to_read(path, follow_links=follow_links), "rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError(f"{path} has more than {most_bytes:,} bytes")
    return data


def hash_into(digest: hashlib._Hash, path: Path) -> None:
    """Add the content of a regular file to a hash; a link, a FIFO or a device raises OSError."""
    with os.fdopen(open_to_read(path), "rb", buffering=0) as file:
        while data := file.read(_AT_ONCE_BYTES):
            digest.update(data)
