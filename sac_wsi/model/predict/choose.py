"""Make a segmenter from the model that the user named."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sac_wsi.errors import CheckpointError, ConfigError
from sac_wsi.model.checkpoint.header import is_sam_file, read_header
from sac_wsi.model.checkpoint.inference import InferenceSettings, check_names
from sac_wsi.model.predict.choose_engine import choose_engine
from sac_wsi.model.predict.segmenter import SacSegmenter
from sac_wsi.settings.typed import build
from sac_wsi.weights.catalogue import RESEARCH_MODEL, find_model_file, own_model_files, shipped_model_files

if TYPE_CHECKING:
    from sac_wsi.model.checkpoint.card import Card
    from sac_wsi.model.checkpoint.header import Header


def choose_segmenter(
    model: str,
    changes: Mapping[str, Any],
    *,
    sam_checkpoint: str = "",
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
) -> SacSegmenter:
    """Return the segmenter of a checkpoint.

    Args:
        model: File of a checkpoint, its name in the models folder, or one of Meta's own files of SAM.
        changes: Nested settings that replace those of the checkpoint.
        sam_checkpoint: SAM file with the other weights, for a checkpoint with trained weights only.
        engine: ``auto``, ``openvino`` or ``torch``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``auto``, ``float32`` or ``bf16``.
    """
    path = find_checkpoint(model)
    header = _sam_header(path) if is_sam_file(path) else read_header(path)
    check_names(changes)
    settings = build(InferenceSettings, merged(asdict(header.card.inference), changes), "sac.")
    engine, device, precision = choose_engine(header.card, settings.mode, engine, device, precision)
    return SacSegmenter(
        path=path.absolute(),
        header=header,
        settings=settings,
        base=_base(header.card, sam_checkpoint),
        engine=engine,
        device=device,
        precision=precision,
    )


def _sam_header(path: Path) -> Header:
    from sac_wsi.model.checkpoint.file import sam_header  # imports torch

    return sam_header(path)


def find_checkpoint(model: str) -> Path:
    """Return the file of a checkpoint given by its path or its name."""
    path = Path(model)
    is_path = path.suffix in (".safetensors", ".pth", ".pt") or "/" in model
    if is_path and path.is_file():
        return path
    if found := find_model_file(model):
        return found
    if is_path:
        raise CheckpointError(f"The checkpoint {model} does not exist: check the path.")
    if model == RESEARCH_MODEL:
        raise ConfigError(
            f"{RESEARCH_MODEL} is for non-commercial use only and not part of the installed package. Pass "
            f"its file from a git checkout: --model sac_wsi/weights/research/{RESEARCH_MODEL}.safetensors"
        )
    known = ["classical", *(file.stem for file in (*shipped_model_files(), *own_model_files()))]
    near = difflib.get_close_matches(model, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}, or a file."
    raise ConfigError(f"There is no model {model!r}. {hint}")


def _base(card: Card, sam_checkpoint: str) -> Path | None:
    if card.kind == "whole":
        if sam_checkpoint:
            raise CheckpointError(f"{card.name} holds all its weights: leave out --sam-checkpoint.")
        return None
    base = Path(sam_checkpoint) if sam_checkpoint else find_model_file(card.base)
    if base is None or not base.is_file():
        raise CheckpointError(
            f"{card.name} was trained on {card.base} and holds only what was trained. Pass --sam-checkpoint "
            f"FILE, or run `sac-wsi models fetch {card.base}`."
        )
    return base.absolute()


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings with some of them changed.

    >>> merged({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 5}})
    {'a': 1, 'b': {'c': 5, 'd': 3}}
    """
    out = dict(settings)
    for key, value in changes.items():
        old = out.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        out[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return out
