"""Write the model card of a run's checkpoints."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sac_wsi.files.atomic import sha256_of
from sac_wsi.model.checkpoint.card import Card, Training
from sac_wsi.model.checkpoint.header import read_header
from sac_wsi.train.base import base_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sac_wsi.train.config import TrainConfig
    from sac_wsi.train.source import Source


def card_of(config: TrainConfig, source: Source) -> Card:
    """Return the card without step and metrics, which change during a run; SAM's file is hashed once.

    The data and licence of the checkpoint that the run starts from are included.
    """
    from sac_wsi import __version__

    before = read_header(Path(config.start)).card.training if config.start else Training((), "")
    now = Training(source.names, "; ".join(source.licences), any(map(forbids_commerce, source.licences)))
    terms = terms_of(before, now, licence=config.licence)
    card = Card(
        name=config.name,
        size=config.size,
        mpp=config.mpp,
        mpp_range=config.mpp_range,
        halo_um=config.halo_um,
        inference=config.inference,
        training=replace(
            terms,
            non_commercial=terms.non_commercial if config.non_commercial is None else config.non_commercial,
            code_version=__version__,
        ),
    )
    base = base_file(config.base)
    if base is None:
        return card
    return replace(card, kind="trained", base=base.name, base_sha256=sha256_of(base))


def terms_of(*sources: Training, licence: str = "") -> Training:
    """Return the training data and licence terms of weights that combine several sources.

    ``licence`` replaces the licences of the sources.

    >>> both = terms_of(Training(("a",), "CC0-1.0"), Training(("b", "a"), "CC-BY-4.0; CC0-1.0", True))
    >>> both.data, both.licence, both.non_commercial
    (('a', 'b'), 'CC0-1.0; CC-BY-4.0', True)
    """
    licences = [name for source in sources for name in source.licence.split("; ") if name]
    licence = licence or "; ".join(dict.fromkeys(licences))
    return Training(
        data=tuple(dict.fromkeys(name for source in sources for name in source.data)),
        licence=licence,
        non_commercial=any(source.non_commercial for source in sources) or forbids_commerce(licence),
    )


def forbids_commerce(licence: str) -> bool:
    """Return whether a licence forbids commercial use, in any of the usual spellings.

    >>> [forbids_commerce(name) for name in ("CC BY NC 4.0", "Attribution-NonCommercial", "research only")]
    [True, True, True]
    >>> [forbids_commerce(name) for name in ("CC0-1.0", "CC-BY-4.0")]
    [False, False]
    """
    words = re.split(r"[^a-z0-9]+", licence.lower())
    return "nc" in words or "research" in words or "noncommercial" in "".join(words)


def card_at(card: Card, step: int, metrics: Mapping[str, float]) -> Card:
    """Return the card of the weights after ``step`` steps with these validation metrics."""
    named = {f"validation_{name}": value for name, value in metrics.items()}
    return replace(card, training=replace(card.training, steps=step), metrics=named)
