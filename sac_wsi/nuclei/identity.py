"""UUIDs of nuclei; a rerun gives the same ones."""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sac_wsi.nuclei.columns import Nuclei

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "sac-wsi")


def model_namespace(slide_fingerprint: str, model_fingerprint: str) -> uuid.UUID:
    """Return the namespace of the UUIDs of one slide's nuclei, found by one model."""
    return uuid.uuid5(NAMESPACE, f"{slide_fingerprint}/{model_fingerprint}")


def nucleus_uuids(nuclei: Nuclei, namespace: uuid.UUID) -> NDArray[np.uint8]:
    """Return (N, 16) bytes: uuid5 of the namespace and ``y,x,hash of box and mask``.

    It does not depend on rank, tile or block. ``uuid.uuid5`` is not called: its objects take longer than the
    hash.
    """
    out = np.empty((len(nuclei), 16), np.uint8)
    prefix = hashlib.sha1(namespace.bytes, usedforsecurity=False)
    shape = nuclei.box.tobytes()
    bits, start = nuclei.mask_bits.tobytes(), nuclei.mask_start.tolist()
    for i, (y, x) in enumerate(nuclei.anchor_yx.tolist()):
        mask = hashlib.sha1(
            shape[16 * i : 16 * i + 16] + bits[start[i] : start[i + 1]], usedforsecurity=False
        )
        name = prefix.copy()
        name.update(f"{y},{x},{mask.hexdigest()}".encode())
        out[i] = np.frombuffer(name.digest(), np.uint8, 16)
    out[:, 6] = (out[:, 6] & 0x0F) | 0x50
    out[:, 8] = (out[:, 8] & 0x3F) | 0x80
    return out
