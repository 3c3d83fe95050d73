"""Card of a checkpoint: what it is, what it was trained on, what it may be used for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sac_wsi.errors import CheckpointError, ConfigError
from sac_wsi.model.checkpoint.inference import MOST_VIEWS, InferenceSettings, with_todays_names
from sac_wsi.model.nets.sizes import PIXEL_MEAN, PIXEL_STD, ModelSize
from sac_wsi.settings.typed import build

FORMAT = 1
Kind = Literal["whole", "trained"]
_OLD_CENTRES = ("centre", "boundary", "min_area_px")


@dataclass(frozen=True)
class Training:
    """Where the weights come from. ``licence`` is that of the weights, which the data decides."""

    data: tuple[str, ...] = ()
    licence: str = "unknown"
    non_commercial: bool = False
    steps: int = 0
    code_version: str = ""


@dataclass(frozen=True)
class Card:
    """The header of a checkpoint.

    kind       whole: all weights. trained: only the trained weights; ``base`` is the name of the SAM file
               with the other weights, ``base_sha256`` its hash
    mpp        micrometres per pixel of the training images
    mpp_range  slides from (finest) to (coarsest) are accepted, in µm per level-0 pixel
    halo_um    margin that a tile of this model needs
    stain      stain of the training images
    """

    name: str
    size: ModelSize
    mpp: float
    mpp_range: tuple[float, float]
    halo_um: float = 16.0
    stain: str = "H&E"
    kind: Kind = "whole"
    base: str = ""
    base_sha256: str = ""
    pixel_mean: tuple[float, float, float] = PIXEL_MEAN
    pixel_std: tuple[float, float, float] = PIXEL_STD
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    training: Training = field(default_factory=Training)
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        low, high = self.mpp_range
        if not 0 < low <= self.mpp <= high:
            raise ConfigError(
                f"{self.name}: mpp {self.mpp} with range {self.mpp_range}: needed low <= mpp <= high."
            )
        if min(self.pixel_std) <= 0:
            raise ConfigError(f"{self.name}: pixel_std {self.pixel_std}, needed above 0.")
        if self.kind == "trained" and not (self.base and self.base_sha256):
            raise ConfigError(f"{self.name} holds only what was trained: needed base and base_sha256.")

    def to_json(self) -> str:
        """Return the card as JSON text, the same for the same card."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)


def card_from_json(text: str, where: str) -> Card:
    """Return the card in a JSON text; ``where`` names the file in messages.

    Raises:
        CheckpointError: The text is not a card, or has a newer format.
    """
    try:
        values = json.loads(text)
        form = values.pop("format")
        if form != FORMAT:
            raise CheckpointError(f"{where} has format {form}, needed {FORMAT}: install a newer sac-wsi.")
        values["inference"] = _with_todays_settings(values.get("inference", {}))
        return build(Card, values)
    except (ConfigError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{where} has a header that cannot be used: {error}") from None


def _with_todays_settings(use: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inference settings of an older card as today's settings."""
    now = with_todays_names(use)
    if isinstance(now.get("tta"), bool):  # older: all views or one
        now["tta"] = MOST_VIEWS if now["tta"] else 1
    if "min_probability" not in now and now.get("mode") != "instance":  # older: one name for both
        now["min_probability"] = now.pop("min_score", 0.0)
    if "centres" in now:  # older: thresholds instead of peaks
        now["centres"] = {key: now["centres"][key] for key in now["centres"] if key not in _OLD_CENTRES}
    return now
