"""Hashes of files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sac_wsi.errors import RequestError

if TYPE_CHECKING:
    from pathlib import Path


def sha256_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RequestError(f"Cannot read {path}: {error.strerror}.") from error
