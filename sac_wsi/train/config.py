"""What a training run is, all of it: the same config and the same data give the same weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sac_wsi.errors import ConfigError
from sac_wsi.model.checkpoint.inference import InferenceSettings
from sac_wsi.model.nets.sizes import ModelSize
from sac_wsi.tiling.grid import GridSettings, SettingNames, make_grid
from sac_wsi.train.augment import AugmentSettings

Part = Literal["prompter", "sac", "both"]
SIDE_MULTIPLE = 16


@dataclass(frozen=True)
class DataSettings:
    """Where the images come from.

    kind           a layout of ``sac-wsi data check``; pack: an archive of `pipelines/pack_training`;
                   synthetic: made on the spot
    images labels  paths, as ``sac-wsi data check`` takes them
    only           of a pack: the sets to take, by name; empty: all
    mpp            of folders: micrometres per pixel
    group_pattern  of folders: what finds a patient in a name
    stained_only   leave out fluorescence
    val_share      of the images, to validate on, where the set has no such part; whole patients
    group_by       what else is a group: organ, of MoNuSeg; grade, of GlaS
    seed           of that choice
    scale          mpp: images are brought to the model's resolution. as_is: pixels are taken as they are.
                   fit: the longer side becomes the tile's, as SAM does it
    nucleus_um     images of unknown resolution are scaled so that their median nucleus has this diameter: by
                   the truth, to validate on too, which a slide in use has not
    draw           images: each as often as any other. pixels: one of twice as many pixels twice as often
    skip_bad       go on without images that cannot be read
    count side_px  synthetic: images to learn from (a quarter as many to validate on) and their side
    """

    kind: Literal["synthetic", "pack", "monuseg", "tnbc", "dsb", "glas", "folders"] = "synthetic"
    images: str = ""
    labels: str = ""
    only: tuple[str, ...] = ()
    mpp: float | None = None
    group_pattern: str = ""
    stained_only: bool = False
    val_share: float = 0.2
    group_by: str = ""
    seed: int = 0
    scale: Literal["mpp", "as_is", "fit"] = "mpp"
    nucleus_um: float = 0.0
    draw: Literal["images", "pixels"] = "images"
    skip_bad: bool = False
    count: int = 16
    side_px: int = 256

    def __post_init__(self) -> None:
        if not 0 <= self.val_share < 1 or self.nucleus_um < 0 or self.count < 1 or self.side_px < 32:
            raise ConfigError(
                f"data.val_share {self.val_share}, data.nucleus_um {self.nucleus_um}, data.count "
                f"{self.count}, data.side_px {self.side_px}: needed 0 to below 1, at least 0, at least 1, "
                "at least 32."
            )


@dataclass(frozen=True)
class ScheduleSettings:
    """How long and how fast.

    epochs          at most
    least_epochs    before patience may end it
    epoch_steps     steps in one; 0: as many as show as many pixels as the images have
    minutes         at most, of this call; 0: no limit. What is left is for the next call
    batch           crops in one forward pass, on all devices together
    accumulate      passes in one step
    crop_px         side of a crop, for a prompter alone; 0: the tile
    warmup_steps    the rate rises over these, then falls as a cosine
    clip_norm       largest norm of the gradient
    ema             weight of the past in the averaged weights that are validated and kept; 0: none
    validate_every  epochs between validations
    best_by         what the best weights are best in, on validation images
    patience        validations without a better one, after which it ends; 0: never
    precision       bf16 mixes precisions
    checkpointing   compute the encoder's blocks twice instead of keeping them: less memory, more time
    """

    epochs: int = 30
    least_epochs: int = 0
    epoch_steps: int = 0
    minutes: float = 0.0
    batch: int = 8
    accumulate: int = 1
    crop_px: int = 0
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup_steps: int = 100
    clip_norm: float = 1.0
    ema: float = 0.99
    validate_every: int = 1
    best_by: Literal["loss", "dice", "iou", "f1_pooled", "aji", "pq", "f1_det"] = "dice"
    patience: int = 10
    precision: Literal["float32", "bf16"] = "float32"
    checkpointing: bool = False

    def __post_init__(self) -> None:
        least = {"epochs": 1, "batch": 1, "accumulate": 1, "validate_every": 1}
        from_0 = (
            "least_epochs",
            "epoch_steps",
            "crop_px",
            "minutes",
            "patience",
            "warmup_steps",
            "weight_decay",
        )
        least |= dict.fromkeys(from_0, 0)
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ConfigError(f"schedule.{name} is {getattr(self, name)}: needed at least {low}.")
        if not 0 <= self.ema < 1 or self.learning_rate <= 0 or self.clip_norm <= 0:
            raise ConfigError(
                f"schedule.ema {self.ema}, schedule.learning_rate {self.learning_rate}, schedule.clip_norm "
                f"{self.clip_norm}: needed 0 to below 1, above 0, above 0."
            )
        if self.crop_px % SIDE_MULTIPLE:
            raise ConfigError(f"schedule.crop_px is {self.crop_px}: needed a multiple of {SIDE_MULTIPLE}.")

    @property
    def bf16(self) -> bool:
        return self.precision == "bf16"


@dataclass(frozen=True)
class ObjectiveSettings:
    """What is learnt.

    part       prompter: the maps. sac: the masks, the prompter as it is. both: together
    mask_loss  of the paper's Eq. 7 and 8
    map_loss   of the prompter: the paper's cross-entropy, or with Dice on the foreground besides
    auto       the semantic mask is prompted as in use: the prompter's points, by ``inference.points``
    experts    and by this many positive points from the truth, as a person would set them
    nuclei     single nuclei of a tile to teach the instance mode; 0: none
    seed       of the first weights and of every crop
    """

    part: Part = "both"
    mask_loss: Literal["focal_dice", "dice_ce", "dice_ce_as_printed"] = "focal_dice"
    map_loss: Literal["bce", "bce_dice"] = "bce"
    auto: bool = True
    experts: int = 0
    nuclei: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.experts < 0 or self.nuclei < 0 or self.seed < 0:
            raise ConfigError(
                f"objective.experts {self.experts}, objective.nuclei {self.nuclei}, objective.seed "
                f"{self.seed}: needed 0 or more."
            )


@dataclass(frozen=True)
class TrainConfig:
    """One run.

    base     a SAM file to start from, or its name once fetched; "" starts from nothing, then all of it learns
    start    a checkpoint of ours whose parts of the same sizes are taken over: a prompter, say
    licence  of the weights; "" takes that of the data
    """

    name: str = "model"
    output_dir: str = "runs/model"
    size: ModelSize = field(default_factory=ModelSize)
    base: str = ""
    start: str = ""
    mpp: float = 0.25
    mpp_range: tuple[float, float] = (0.15, 0.6)
    halo_um: float = 16.0
    licence: str = ""
    non_commercial: bool | None = None
    data: DataSettings = field(default_factory=DataSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise ConfigError(f"name is {self.name!r}: needed a plain file name.")
        self._refuse_unfit_family()
        if self.size.over_prompter and self.base:
            raise ConfigError(
                "size.over_prompter gives the encoder what SAM's never had: needed base='', found "
                f"{self.base!r}."
            )
        if self.size.over_prompter and self.objective.part == "both":
            raise ConfigError(
                "size.over_prompter with objective.part=both: masks that correct the prompter would teach it "
                "to be wrong. Needed objective.part=prompter first, then sac with start."
            )
        if self.needs_prompter and not self.start:
            raise ConfigError(
                "objective.part is sac, and the prompter that it rests on would stay random: needed start, a "
                "checkpoint with a prompter, or objective.auto=false without size.over_prompter."
            )
        if self.schedule.crop_px and self.objective.part != "prompter":
            raise ConfigError(
                f"schedule.crop_px is {self.schedule.crop_px}: only a prompter alone takes crops of another "
                "size than size.tile_px. Leave it out, or set objective.part=prompter."
            )
        if not self.mpp_range[0] <= self.mpp <= self.mpp_range[1]:
            raise ConfigError(f"mpp {self.mpp}, mpp_range {self.mpp_range}: needed the one within the other.")
        names = SettingNames(tile_px="size.tile_px", halo_um="halo_um")
        make_grid((1, 1), self.mpp, GridSettings(self.size.tile_px, self.halo_um), names)

    def _refuse_unfit_family(self) -> None:
        family, part, mode = self.size.family, self.objective.part, self.inference.mode
        if family == "sam":
            raise ConfigError("size.family is sam, which learns nothing: needed sac, msa, sam-ft or unet.")
        if family == "unet" and (part, mode) != ("prompter", "prompter"):
            raise ConfigError(
                f"size.family is unet, objective.part {part}, inference.mode {mode}: needed "
                "objective.part=prompter and inference.mode=prompter."
            )

    @property
    def needs_prompter(self) -> bool:
        """One that has learnt already: it is used, and does not learn."""
        return self.objective.part == "sac" and (self.objective.auto or self.size.over_prompter)

    @property
    def crop_px(self) -> int:
        return self.schedule.crop_px or self.size.tile_px
