"""How maps, points and masks become nuclei. A checkpoint stores the settings it was validated with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from sac_wsi.errors import ConfigError
from sac_wsi.model.points.prompts import CentreSettings, PointSettings
from sac_wsi.model.points.votes import VoteSettings
from sac_wsi.settings.checks import check_range

Mode = Literal["semantic", "instance", "prompter"]
MODES: tuple[Mode, ...] = ("semantic", "instance", "prompter")
MOST_VIEWS = 8
MOST_PROMPTS = 4096
"""Most prompts of a tile, the user's points first: it limits the time that a noisy map can take."""

_FIRST_NAMES = {
    "mode": "way",
    "faint_probability": "faintest",
    "label_offset_yx": "learnt_off_yx",
    "min_prominence": "rise",
}
"""Names of settings before they were renamed. Hashes keep them: renaming a setting must not change the UUID
of any nucleus. Cards written with them are still read."""
_TODAYS_NAMES = {first: today for today, first in _FIRST_NAMES.items()}


@dataclass(frozen=True)
class InferenceSettings:
    """Settings from a tile to its nuclei.

    mode               semantic: all points in one decoder call, one foreground mask, split by watershed.
                       instance: one decoder call per positive point, a mask and a score per nucleus.
                       prompter: the U-Net's own maps, split by watershed.
    mask_probability   a pixel above this probability belongs to a nucleus
    faint_probability  semantic, prompter: a nucleus whose probability peaks at this value or above is cut at
                       mask_probability times its own peak; 1: every nucleus is cut at mask_probability
    negatives          instance: centres of the nearest neighbours that are added as negative points
    window_cells       instance: side of the window of the embedding around a point; 0: the whole embedding
    multimask          instance: use the best of SAM's three masks instead of its single mask
    box_round          instance: decode a second time with the box of the first mask
    nms_iou            instance: masks with a larger IoU are one nucleus
    min_score          instance: drop nuclei whose mask score is lower
    min_probability    semantic, prompter: drop nuclei whose mean probability is lower
    min_area_um2       drop smaller objects
    prompts_at_once    instance: prompts in one decoder call
    votes              how the votes of pixels are counted, for a prompter of five maps
    tta                number of the tile's eight rotations and reflections over which the prompter's maps are
                       averaged; time grows with it
    label_offset_yx    offset in pixels (y, x) of the training labels from the nuclei. It is the same however
                       a tile is turned, so the maps of turned views are moved back before averaging
    """

    mode: Mode = "semantic"
    points: PointSettings = field(default_factory=PointSettings)
    centres: CentreSettings = field(default_factory=CentreSettings)
    votes: VoteSettings = field(default_factory=VoteSettings)
    mask_probability: float = 0.5
    faint_probability: float = 1.0
    negatives: int = 0
    window_cells: int = 16
    multimask: bool = False
    box_round: bool = False
    nms_iou: float = 0.5
    min_score: float = 0.0
    min_probability: float = 0.0
    min_area_um2: float = 4.0
    prompts_at_once: int = 64
    tta: int = 1
    label_offset_yx: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"sac.mode is {self.mode!r}: needed {', '.join(MODES)}.")
        check_range("sac.tta", self.tta, at_least=1, at_most=MOST_VIEWS)
        for name in ("mask_probability", "faint_probability", "nms_iou", "min_score", "min_probability"):
            check_range(f"sac.{name}", getattr(self, name), at_least=0, at_most=1)
        for name, least in (
            ("negatives", 0),
            ("window_cells", 0),
            ("min_area_um2", 0),
            ("prompts_at_once", 1),
        ):
            check_range(f"sac.{name}", getattr(self, name), at_least=least)

    def hashed(self) -> dict[str, Any]:
        """Return the settings as nested mappings under the names that enter hashes."""
        names = _renamed(asdict(self), _FIRST_NAMES)
        if self.votes == VoteSettings():  # settings that came later must not change the UUID of any nucleus
            del names["votes"]
        return names

    def in_pixels(self, mpp: float) -> PixelSettings:
        """Return the settings for tiles of ``mpp`` micrometres per pixel."""
        values = {each.name: getattr(self, each.name) for each in fields(InferenceSettings)}
        return PixelSettings(
            **values,
            min_area_px=max(1, round(self.min_area_um2 / mpp**2)),
            min_mask_area_px=_pixels_of(self.min_area_um2, mpp),
        )


@dataclass(frozen=True)
class PixelSettings(InferenceSettings):
    """Settings for tiles of one resolution, made by ``InferenceSettings.in_pixels``.

    The two limits differ by at most one pixel. One limit for all modes would change which nuclei are found.

    min_area_px       semantic, prompter: smallest area, the nearest whole number of pixels, at least 1
    min_mask_area_px  instance: smallest area, the least whole number of pixels that is not below min_area_um2
    """

    min_area_px: int = 1
    min_mask_area_px: int = 0


def _pixels_of(area_um2: float, mpp: float) -> int:
    """Return the least whole number of pixels whose area is at least ``area_um2``."""
    pixels = max(0, math.ceil(area_um2 / mpp**2) - 1)
    # the product decides, not the quotient: they are rounded differently
    while pixels * mpp**2 < area_um2:
        pixels += 1
    return pixels


def with_todays_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested settings of an older card under today's names."""
    return _renamed(settings, _TODAYS_NAMES)


def check_names(changes: Mapping[str, Any], prefix: str = "sac.") -> None:
    """Raise ConfigError that gives the new name if a change has the first name of a renamed setting."""
    for key, value in changes.items():
        if key in _TODAYS_NAMES:
            raise ConfigError(f"{prefix}{key} is now {prefix}{_TODAYS_NAMES[key]}: use this name.")
        if isinstance(value, Mapping):
            check_names(value, f"{prefix}{key}.")


def _renamed(settings: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        names.get(key, key): _renamed(value, names) if isinstance(value, Mapping) else value
        for key, value in settings.items()
    }
