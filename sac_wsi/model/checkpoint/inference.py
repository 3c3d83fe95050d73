"""How maps, points and masks become nuclei. A checkpoint brings the settings it was chosen with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sac_wsi.errors import ConfigError
from sac_wsi.model.points.prompts import CentreSettings, PointSettings

Way = Literal["semantic", "instance", "prompter"]
WAYS: tuple[Way, ...] = ("semantic", "instance", "prompter")
MOST_VIEWS = 8
MOST_PROMPTS = 4096
"""Of a tile, a person's first: noise in a map must not take a day to decode."""


@dataclass(frozen=True)
class InferenceSettings:
    """From a tile to its nuclei.

    way               semantic: all points in one decoder call, one foreground mask, split by watershed.
                      instance: a decoder call for each positive point, a mask and a score for each nucleus.
                      prompter: the U-Net's own maps, split by watershed.
    mask_probability  above which a pixel is nucleus
    faintest          semantic, prompter: a nucleus as probable as that ends where a clear one ends, at
                      mask_probability as a part of its own height; 1: all end at mask_probability
    negatives         instance: centres of the nearest neighbours that go along as negative points
    window_cells      instance: side of the window of the embedding round a point; 0: all of it
    multimask         instance: the best of SAM's three alternatives instead of its single answer
    box_round         instance: a second call with the first mask's box
    nms_iou           instance: masks that share more are one nucleus
    min_score         instance: nuclei whose mask the model itself scores lower are dropped
    min_probability   semantic, prompter: nuclei of a lower mean probability are dropped
    min_area_um2      smaller objects are dropped
    prompts_at_once   instance: prompts in one decoder call
    tta               how many of a tile's eight turns and mirror images the prompter's maps are averaged
                      over: better maps, for as many times the prompter's time
    learnt_off_yx     pixels of the model's between nuclei and the outlines that it learnt, whichever way a
                      tile is turned: the maps of all views are brought to where the first one's lie
    """

    way: Way = "semantic"
    points: PointSettings = field(default_factory=PointSettings)
    centres: CentreSettings = field(default_factory=CentreSettings)
    mask_probability: float = 0.5
    faintest: float = 1.0
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
    learnt_off_yx: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.way not in WAYS:
            raise ConfigError(f"sac.way is {self.way!r}: needed {', '.join(WAYS)}.")
        if not 1 <= self.tta <= MOST_VIEWS:
            raise ConfigError(f"sac.tta is {self.tta}: needed 1 to {MOST_VIEWS}.")
        for name in ("mask_probability", "faintest", "nms_iou", "min_score", "min_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"sac.{name} is {getattr(self, name)}: needed 0 to 1.")
        if self.negatives < 0 or self.window_cells < 0 or self.min_area_um2 < 0 or self.prompts_at_once < 1:
            raise ConfigError(
                f"sac.negatives {self.negatives}, sac.window_cells {self.window_cells}, sac.min_area_um2 "
                f"{self.min_area_um2}, sac.prompts_at_once {self.prompts_at_once}: needed at least 0, 0, "
                "0, 1."
            )
