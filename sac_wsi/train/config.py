"""What a training run is, all of it: the same config and the same data give the same weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sac_wsi.errors import ConfigError
from sac_wsi.model.inference import InferenceSettings
from sac_wsi.model.sizes import ModelSize
from sac_wsi.train.augment import AugmentSettings

Part = Literal["prompter", "sac", "both"]
PARTS: tuple[Part, ...] = ("prompter", "sac", "both")


@dataclass(frozen=True)
class DataSettings:
    """Where the images come from.

    kind      synthetic: made on the spot. pack: an archive of `pipelines/pack_training`
    path      of the archive
    images    synthetic: images to learn from; a quarter as many to validate on
    side_px   synthetic: side of an image
    """

    kind: Literal["synthetic", "pack"] = "synthetic"
    path: str = ""
    images: int = 16
    side_px: int = 256


@dataclass(frozen=True)
class ScheduleSettings:
    """How long and how fast.

    steps           at most; an epoch has no meaning for random crops, so validation counts steps
    minutes         at most, of this call; 0: no limit. What is left is for the next call
    batch           crops in one forward pass
    accumulate      passes in one step
    warmup_steps    the rate rises over these, then falls as a cosine
    clip_norm       largest norm of the gradient
    ema             weight of the past in the averaged weights that are validated and kept; 0: none
    validate_every  steps between validations, and between saved states
    patience        validations without a better one, after which it ends; 0: never
    precision       bf16 mixes precisions
    """

    steps: int = 3000
    minutes: float = 0.0
    batch: int = 8
    accumulate: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup_steps: int = 100
    clip_norm: float = 1.0
    ema: float = 0.99
    validate_every: int = 200
    patience: int = 10
    precision: Literal["float32", "bf16"] = "float32"

    def __post_init__(self) -> None:
        least = {"steps": 1, "batch": 1, "accumulate": 1, "validate_every": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ConfigError(f"schedule.{name} is {getattr(self, name)}: needed at least {low}.")
        if not 0 <= self.ema < 1 or self.learning_rate <= 0 or self.clip_norm <= 0:
            raise ConfigError(
                f"schedule.ema {self.ema}, schedule.learning_rate {self.learning_rate}, schedule.clip_norm "
                f"{self.clip_norm}: needed 0 to below 1, above 0, above 0."
            )


@dataclass(frozen=True)
class ObjectiveSettings:
    """What is learnt.

    part        prompter: the maps. sac: the masks, the prompter as it is. both: together
    mask_loss   of the paper's Eq. 7 and 8
    points      of a tile, drawn from the truth: positives in the semantic mask, nuclei in the instance way
    """

    part: Part = "both"
    mask_loss: Literal["focal_dice", "dice_ce", "dice_ce_as_printed"] = "focal_dice"
    points: int = 8
    seed: int = 0


@dataclass(frozen=True)
class TrainConfig:
    """One run. ``base`` is a SAM file to start from; "" starts from nothing, and then all of it learns."""

    name: str = "model"
    output_dir: str = "runs/model"
    size: ModelSize = field(default_factory=ModelSize)
    base: str = ""
    mpp: float = 0.25
    mpp_range: tuple[float, float] = (0.15, 0.6)
    halo_um: float = 16.0
    licence: str = "unknown"
    non_commercial: bool = False
    data: DataSettings = field(default_factory=DataSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise ConfigError(f"name is {self.name!r}: needed a plain file name.")
        if self.size.family == "sam":
            raise ConfigError("size.family is sam, which learns nothing: needed sac, msa, sam-ft or unet.")
        if self.size.family == "unet" and self.objective.part != "prompter":
            raise ConfigError("size.family is unet: needed objective.part=prompter.")
        if self.data.kind == "pack" and not self.data.path:
            raise ConfigError("data.kind is pack: needed data.path, the archive.")
