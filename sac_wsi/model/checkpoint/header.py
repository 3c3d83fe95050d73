"""Read a checkpoint without PyTorch: its header, and its tensors as NumPy arrays."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from sac_wsi.errors import CheckpointError
from sac_wsi.model.checkpoint.card import Card, card_from_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from sac_wsi.model.nets.sizes import ModelSize

KEY = "sac_wsi"
"""The only entry of the metadata: safetensors writes several in any order."""
CARD, HASH = "sac_wsi_card", "sha256"


@dataclass(frozen=True)
class Header:
    """Card of a checkpoint, and ``sha256`` of its tensors, which does not depend on the card."""

    card: Card
    sha256: str

    @property
    def identity(self) -> str:
        """Hash of all that decides the nuclei of a tile: weights, sizes, resolution, normalisation."""
        card = self.card
        size = hashed_size(card.size)
        parts = [self.sha256, card.base_sha256, size, card.mpp, card.pixel_mean, card.pixel_std]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def is_checkpoint(path: Path) -> bool:
    """Return whether a file is a checkpoint that sac-wsi wrote, of any version."""
    try:
        with safe_open(path, framework="np") as file:
            return KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def hashed_size(size: ModelSize) -> dict[str, Any]:
    """Return the sizes that enter hashes: later ones only if they are used, so that older hashes stay."""
    sizes = asdict(size)
    if sizes["prompter"]["kind"] == "unet":
        del sizes["prompter"]["kind"]
    if sizes["prompter"]["convolutions"] == 1:
        del sizes["prompter"]["convolutions"]
    return sizes


def read_header(path: Path) -> Header:
    """Read the card, without reading the weights."""
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist.") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a safetensors file, or it is truncated ({type(error).__name__}): needed a "
            "checkpoint of sac-wsi. Copy it again."
        ) from None
    if KEY not in metadata:
        raise CheckpointError(f"{path} is not from sac-wsi: its header has no card.")
    try:
        stored = json.loads(metadata[KEY])
        return Header(card_from_json(stored[CARD], str(path)), str(stored[HASH]))
    except (ValueError, KeyError, TypeError):
        raise CheckpointError(f"{path} has a damaged header.") from None


def is_sam_file(path: Path) -> bool:
    """Return whether a file holds the weights of SAM or MobileSAM under their own names, without a card."""
    if path.suffix in (".pth", ".pt"):
        return True
    try:
        with safe_open(path, framework="np") as file:
            named = any(name.startswith("image_encoder.") for name in file.keys())  # noqa: SIM118 - no mapping
            return named and KEY not in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def verify_arrays(path: Path) -> list[str]:
    """List what is wrong with the header and the numbers of a checkpoint, as far as NumPy can tell."""
    try:
        read_arrays(path, read_header(path))
    except CheckpointError as error:
        return [str(error)]
    return []


def read_arrays(path: Path, header: Header, prefix: str = "") -> dict[str, NDArray[Any]]:
    """Return the tensors whose names begin with ``prefix``, without it.

    Raises:
        CheckpointError: The file is damaged, its tensors are not those of the header, or some are NaN or
            infinite.
    """
    try:
        with safe_open(path, framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, TypeError) as error:
        raise CheckpointError(f"{path} is truncated or damaged ({type(error).__name__}).") from None
    found = digest_of(
        (name, f"torch.{value.dtype.name}", value.shape, value.reshape(-1).view(np.uint8))
        for name, value in tensors.items()
    )
    refuse_other_tensors(path, header, found)
    wanted = {name.removeprefix(prefix): v for name, v in tensors.items() if name.startswith(prefix)}
    for name, value in wanted.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise CheckpointError(f"{path} holds NaN or infinity in {prefix}{name}: it is damaged.")
    return wanted


def refuse_other_tensors(path: Path, header: Header, sha256: str) -> None:
    """Raise CheckpointError if the hash of the tensors is not the one in the header."""
    if sha256 != header.sha256:
        raise CheckpointError(
            f"{path}: the weights are not those that were written (wrong SHA-256). Copy it again."
        )


def digest_of(tensors: Iterable[tuple[str, str, tuple[int, ...], NDArray[np.uint8]]]) -> str:
    """Return the SHA-256 of tensors, each a name, PyTorch's name of its type, its shape and its bytes."""
    digest = hashlib.sha256()
    for name, dtype, shape, values in sorted(tensors, key=lambda each: each[0]):
        digest.update(f"{name} {dtype} {shape}\n".encode())
        digest.update(values.data)
    return digest.hexdigest()
