"""Describe a model for people and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from sac_wsi.errors import ConfigError
from sac_wsi.model.checkpoint.header import Header, is_sam_file, read_header
from sac_wsi.model.nets.sizes import FAMILIES, Family, ModelSize, paper_size
from sac_wsi.weights.catalogue import find_model_file


def describe(name_or_path: str, encoder: str | None = None) -> dict[str, object]:
    """Describe a family of the paper with an encoder (``vit_h`` by default), or a checkpoint file.

    >>> describe("sac", "vit_h")["trainable"]
    56493360
    """
    if name_or_path in FAMILIES:
        from sac_wsi.model.nets.counts import paper_counts  # imports torch

        family: Family = next(f for f in FAMILIES if f == name_or_path)
        chosen = encoder or "vit_h"
        return {
            "model": family,
            "encoder": None if family == "unet" else chosen,
            **asdict(paper_counts(family, chosen)),
            "size": asdict(paper_size(family, chosen)),
        }
    path = Path(name_or_path) if Path(name_or_path).is_file() else find_model_file(name_or_path)
    if path is None:
        raise ConfigError(
            f"There is no model {name_or_path!r} here: needed a file, or one of {', '.join(FAMILIES)}."
        )
    if encoder:
        raise ConfigError("--encoder goes with a family; a file has its own: leave it out.")
    header = _header(path)
    return {"sha256": header.sha256, **_counts(header.card.size), **asdict(header.card)}


def _header(path: Path) -> Header:
    if not is_sam_file(path):
        return read_header(path)
    from sac_wsi.model.checkpoint.file import sam_header  # imports torch

    return sam_header(path)


def _counts(size: ModelSize) -> dict[str, int]:
    """Return the numbers of parameters, which PyTorch counts; nothing without it."""
    if find_spec("torch") is None:
        return {}
    from sac_wsi.model.nets.counts import count_parameters

    return asdict(count_parameters(size))
