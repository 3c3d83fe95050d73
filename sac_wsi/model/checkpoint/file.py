"""Read, write and check our checkpoints: safetensors with a card in the header; they contain no code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sac_wsi.errors import CheckpointError, SacWsiError
from sac_wsi.files.atomic import atomic_file, sha256_of
from sac_wsi.model.checkpoint.card import Card, Training
from sac_wsi.model.checkpoint.header import (
    CARD,
    HASH,
    KEY,
    Header,
    digest_of,
    is_checkpoint,
    is_sam_file,
    read_header,
    refuse_other_tensors,
)
from sac_wsi.model.nets.sac import SacModel, build_model, learns, load_sam
from sac_wsi.model.nets.sam import State, check_state, encoder_of, read_sam_file
from sac_wsi.model.nets.sizes import ModelSize, encoder_size
from sac_wsi.weights.catalogue import MODEL_FILES, SAM_LICENCE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SAM_MPP = 0.25
"""Resolution for SAM, which has none: at 40x nuclei have the size of objects that it segments well."""


def save_checkpoint(path: Path, model: SacModel, card: Card, dtype: torch.dtype = torch.float32) -> str:
    """Write the weights that ``card.kind`` names and return their hash; only a checkpoint is replaced."""
    if card.size != model.size:
        raise ValueError(f"the card is of {card.size}, the model of {model.size}")
    keep = trained_names(model) if card.kind == "trained" else set(model.state_dict())
    tensors = {
        name: value.detach().to("cpu", dtype if value.is_floating_point() else value.dtype).contiguous()
        for name, value in model.state_dict().items()
        if name in keep
    }
    digest = hash_tensors(tensors)
    header = {KEY: json.dumps({HASH: digest, CARD: card.to_json()})}
    with atomic_file(path, is_checkpoint) as file:
        file.write(save(tensors, header))
    return digest


def trained_names(model: SacModel) -> set[str]:
    """Return the names of the tensors that are trained, running statistics of batch norm included."""
    buffers = {name for name, _ in model.named_buffers() if not name.startswith("prompter.")}
    return {name for name in model.state_dict() if name not in buffers and learns(model.size.family, name)}


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of named tensors: names, types, shapes and values."""
    return digest_of(
        # the bytes: NumPy has no bfloat16
        (name, str(value.dtype), tuple(value.shape), value.contiguous().reshape(-1).view(torch.uint8).numpy())
        for name, value in tensors.items()
    )


def sam_header(path: Path) -> Header:
    """Make a card for one of Meta's own files: zero-shot, prompted by a person, at any resolution."""
    return _sam_header(path, read_sam_file(path))


def _sam_header(path: Path, state: State) -> Header:
    encoder = encoder_of(state, str(path))
    size = ModelSize("sam", encoder, tile_px=64 * encoder_size(encoder).patch_px)
    card = Card(
        name=path.stem,
        size=size,
        mpp=SAM_MPP,
        mpp_range=(0.01, 20.0),
        training=Training(("SA-1B",), licence=SAM_LICENCE),
    )
    return Header(card, sha256_of(path))


def load_model(path: Path, base: Path | None = None) -> tuple[SacModel, Header]:
    """Load the model in float32 and evaluation mode, on the CPU; check its hash and every tensor.

    A checkpoint of kind ``trained`` needs ``base``, the SAM file that it was trained on. One of Meta's own
    files, or MobileSAM's, gives SAM unchanged.
    """
    if is_sam_file(path):
        weights = read_sam_file(path)
        header = _sam_header(path, weights)
        model = build_model(header.card.size)
        load_sam(model, weights, str(path))
        return model.eval(), header
    header = read_header(path)
    tensors = _read_checked(path, header)
    model = build_model(header.card.size)
    model.use_pixels(header.card.pixel_mean, header.card.pixel_std)
    state: State = {
        name: value.float() if value.is_floating_point() else value for name, value in tensors.items()
    }
    if header.card.kind == "trained":
        if base is None:
            raise CheckpointError(
                f"{path} holds only what was trained. Pass --sam-checkpoint {header.card.base}, the SAM file "
                "it was trained on."
            )
        _require_base(base, header.card)
        load_sam(model, read_sam_file(base), str(base))
    model.load_state_dict(state, strict=header.card.kind == "whole")
    return model.eval(), header


def _read_checked(path: Path, header: Header) -> State:
    """Read the tensors; check their hash, and their names and shapes against the sizes of the card.

    The model for the comparison is built without memory, so that a wrong size in a card allocates nothing.
    """
    tensors = _read_tensors(path)
    refuse_other_tensors(path, header, hash_tensors(tensors))
    with torch.device("meta"):
        model = build_model(header.card.size)
    wanted = model.state_dict()
    if header.card.kind == "trained":
        trained = trained_names(model)
        wanted = {name: value for name, value in wanted.items() if name in trained}
    check_state(tensors, wanted, str(path))
    return tensors


def _require_published(path: Path) -> None:
    """Raise CheckpointError if a file has the name of one of Meta's files but other content."""
    known = {model.file: model.sha256 for model in MODEL_FILES}
    if path.name in known and sha256_of(path) != known[path.name]:
        raise CheckpointError(f"{path} is not the file that Meta published under this name. Fetch it again.")


def _require_base(base: Path, card: Card) -> None:
    found = sha256_of(base)
    if found != card.base_sha256:
        raise CheckpointError(
            f"{base} is not the SAM file that {card.name} was trained on ({card.base}): its SHA-256 is "
            f"{found[:12]}..., needed {card.base_sha256[:12]}...."
        )


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is truncated or damaged ({type(error).__name__}).") from None


def verify(path: Path) -> list[str]:
    """List what is wrong with a checkpoint; an empty list if it can be used."""
    try:
        _require_published(path)
        if is_sam_file(path) or read_header(path).card.kind == "whole":
            load_model(path)
        else:
            _read_checked(path, read_header(path))
    except SacWsiError as error:
        return [str(error)]
    return []
