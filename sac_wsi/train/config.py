"""The settings of a training run; the same settings and the same data give the same weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sac_wsi.datasets import Layout
from sac_wsi.errors import ConfigError
from sac_wsi.model.checkpoint.inference import InferenceSettings
from sac_wsi.model.nets.sizes import PROMPTER_SIDE_MULTIPLE, ModelSize
from sac_wsi.settings.checks import check_range
from sac_wsi.tiling.grid import GridSettings, SettingNames, make_grid
from sac_wsi.train.augment import AugmentSettings

DataKind = Literal["synthetic", Layout]
Part = Literal["prompter", "sac", "both"]


@dataclass(frozen=True)
class DataSettings:
    """Where the images come from, and how they are split, scaled and drawn.

    Attributes:
        kind: A layout of ``sac-wsi data check``; "pack": an archive made by `pipelines/pack_training`;
            "synthetic": images that are generated.
        images: Path of the images, as ``sac-wsi data check`` takes it.
        labels: Path of the labels, as ``sac-wsi data check`` takes it.
        only: For a pack: names of the data sets to use; empty: all.
        mpp: For folders: micrometres per pixel.
        group_pattern: For folders: regular expression that finds the patient in a file name.
        stained_only: Leave out fluorescence images.
        val_share: Share of the images to validate on, if the data set has no validation part; the images of
            one patient stay together.
        val_groups: Groups (patients, organs) to validate on, instead of a random share; "mouse *" is all
            groups whose names begin with "mouse".
        without: Groups to leave out, in the same way.
        group_by: Group the images by something else than the patient: "organ" (MoNuSeg), "grade" (GlaS),
            "species" (NuInsSeg).
        seed: Seed of the random choice of validation images.
        scale: "mpp": images are scaled to the model's resolution. "as_is": images are not scaled. "fit": the
            longer side is scaled to the side of a tile, as SAM does.
        nucleus_um: Images of unknown resolution are scaled until their median nucleus has this diameter in
            micrometres; 0: such images are an error. The diameter is measured on the true labels, for
            validation images too; a slide to segment has no such labels.
        draw: "images": all images are drawn equally often. "pixels": an image of twice as many pixels is
            drawn twice as often.
        shares: For a pack: part of the crops that comes from each data set, by its name; empty: ``draw``
            decides alone.
        skip_bad: Continue without images that cannot be read.
        count: For synthetic images: number of training images; a quarter of it to validate on.
        side_px: For synthetic images: their side.
    """

    kind: DataKind = "synthetic"
    images: str = ""
    labels: str = ""
    only: tuple[str, ...] = ()
    mpp: float | None = None
    group_pattern: str = ""
    stained_only: bool = False
    val_share: float = 0.2
    val_groups: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    group_by: str = ""
    seed: int = 0
    scale: Literal["mpp", "as_is", "fit"] = "mpp"
    nucleus_um: float = 0.0
    draw: Literal["images", "pixels"] = "images"
    shares: Mapping[str, float] = field(default_factory=dict)
    skip_bad: bool = False
    count: int = 16
    side_px: int = 256

    def __post_init__(self) -> None:
        check_range("data.val_share", self.val_share, at_least=0, below=1)
        check_range("data.nucleus_um", self.nucleus_um, at_least=0)
        check_range("data.count", self.count, at_least=1)
        check_range("data.side_px", self.side_px, at_least=32)
        for name, share in self.shares.items():
            check_range(f"data.shares.{name}", share, above=0)
        if self.shares and self.draw == "pixels":
            raise ConfigError("data.shares and data.draw=pixels both decide what is drawn: leave out one.")


@dataclass(frozen=True)
class ScheduleSettings:
    """Length of the training, batch size, learning rate and validation.

    Attributes:
        epochs: Largest number of epochs.
        least_epochs: Number of epochs before ``patience`` may end the training.
        epoch_steps: Steps in an epoch; 0: enough for the crops to have as many pixels as the images.
        minutes: Largest duration of this call; 0: no limit. The next call continues the training.
        batch: Crops in one forward pass, on all devices together.
        accumulate: Forward and backward passes in one step.
        crop_px: Side of a crop when only the prompter is trained; 0: the side of a tile.
        learning_rate: Highest learning rate.
        weight_decay: Weight decay of AdamW.
        warmup_steps: Steps in which the learning rate rises; after them it falls as half a cosine.
        clip_norm: Gradients of a larger norm are scaled down to this norm.
        ema: Decay of the moving average of the weights, which is validated and saved; 0: no average.
        validate_every: Epochs between validations.
        best_by: Score on the validation images by which the best weights are chosen.
        patience: Number of validations without improvement after which the training ends; 0: never.
        precision: "bf16" is mixed precision.
        checkpointing: Compute the blocks of the encoder again in the backward pass instead of storing their
            activations: less memory, more time.
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
            "patience",
            "warmup_steps",
            "weight_decay",
        )
        least |= dict.fromkeys(from_0, 0)
        if self.minutes != math.inf:
            check_range("schedule.minutes", self.minutes, at_least=0)
        for name, low in least.items():
            check_range(f"schedule.{name}", getattr(self, name), at_least=low)
        check_range("schedule.ema", self.ema, at_least=0, below=1)
        check_range("schedule.learning_rate", self.learning_rate, above=0)
        if self.clip_norm != math.inf:  # infinite: gradients are not clipped
            check_range("schedule.clip_norm", self.clip_norm, above=0)

    @property
    def bf16(self) -> bool:
        """Whether the precision is mixed."""
        return self.precision == "bf16"


@dataclass(frozen=True)
class ObjectiveSettings:
    """Which part of the model is trained, and with which losses and prompts.

    Attributes:
        part: "prompter": only the prompter. "sac": all but the prompter. "both": both together.
        mask_loss: Loss of the masks; the paper's Eq. 7 and 8.
        map_loss: Loss of the prompter's maps: the paper's cross-entropy, or that plus Dice of the foreground.
        forgive_above: Where no nucleus is labelled nearby and the prompter is surer than this of one, the
            maps are not judged: some data sets leave blurred nuclei without an outline. 1: judged everywhere.
        auto: Prompt the semantic mask with the prompter's points, by ``inference.points``, as at inference.
        experts: Prompt it with this number of positive points from the true labels too, as a person would.
        nuclei: Single nuclei of a tile to train the instance mode on; 0: none.
        seed: Seed of the initial weights and of all crops.
    """

    part: Part = "both"
    mask_loss: Literal["focal_dice", "dice_ce", "dice_ce_as_printed"] = "focal_dice"
    map_loss: Literal["bce", "bce_dice"] = "bce"
    forgive_above: float = 1.0
    auto: bool = True
    experts: int = 0
    nuclei: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("experts", "nuclei", "seed"):
            check_range(f"objective.{name}", getattr(self, name), at_least=0)
        check_range("objective.forgive_above", self.forgive_above, at_least=0.5, at_most=1)


@dataclass(frozen=True)
class TrainConfig:
    """The settings of one training run.

    Attributes:
        name: Name of the model.
        output_dir: Folder of the run.
        size: Family and sizes of the model.
        base: A file of SAM's weights to start from, or the name of a fetched one; "": random weights, and all
            of them are trained.
        start: A checkpoint of sac-wsi; its parts of the same sizes are copied, for example a prompter.
        mpp: Resolution of the model, in micrometres per pixel.
        mpp_range: Lowest and highest resolution on which the model may be used.
        halo_um: Width of the margin around a tile, in micrometres.
        licence: Licence of the weights; "": the licences of the data.
        non_commercial: Whether commercial use is forbidden; None: decided by the licences.
        data: The images.
        augment: How crops are augmented.
        objective: What is trained, with which losses.
        schedule: How long and how fast.
        inference: How the model segments, in validation and later.
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
                "size.over_prompter gives the encoder an input that SAM's encoder does not have: needed "
                f"base='', found {self.base!r}."
            )
        if self.size.over_prompter and self.objective.part == "both":
            raise ConfigError(
                "size.over_prompter with objective.part=both would train the prompter on masks that correct "
                "its errors. Needed objective.part=prompter first, then sac with start."
            )
        if self.needs_prompter and not self.start:
            raise ConfigError(
                "objective.part is sac, and the prompter that it uses would stay random: needed start, a "
                "checkpoint with a prompter, or objective.auto=false without size.over_prompter."
            )
        if self.schedule.crop_px % PROMPTER_SIDE_MULTIPLE:
            raise ConfigError(
                f"schedule.crop_px is {self.schedule.crop_px}: needed a multiple of {PROMPTER_SIDE_MULTIPLE}."
            )
        if self.schedule.crop_px and self.objective.part != "prompter":
            raise ConfigError(
                f"schedule.crop_px is {self.schedule.crop_px}: only a prompter alone can be trained on "
                "crops of another size than size.tile_px. Leave it out, or set objective.part=prompter."
            )
        if not self.mpp_range[0] <= self.mpp <= self.mpp_range[1]:
            raise ConfigError(f"mpp {self.mpp}, mpp_range {self.mpp_range}: needed mpp within mpp_range.")
        names = SettingNames(tile_px="size.tile_px", halo_um="halo_um")
        make_grid((1, 1), self.mpp, GridSettings(self.size.tile_px, self.halo_um), names)

    def _refuse_unfit_family(self) -> None:
        family, part, mode = self.size.family, self.objective.part, self.inference.mode
        if family == "sam":
            raise ConfigError("size.family is sam, which is not trained: needed sac, msa, sam-ft or unet.")
        if family == "unet" and (part, mode) != ("prompter", "prompter"):
            raise ConfigError(
                f"size.family is unet, objective.part {part}, inference.mode {mode}: needed "
                "objective.part=prompter and inference.mode=prompter."
            )

    @property
    def needs_prompter(self) -> bool:
        """Whether the run needs a trained prompter, which it uses and does not train."""
        return self.objective.part == "sac" and (self.objective.auto or self.size.over_prompter)

    @property
    def crop_px(self) -> int:
        """Side of a crop in pixels."""
        return self.schedule.crop_px or self.size.tile_px
