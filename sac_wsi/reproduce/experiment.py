"""What is trained and scored. Rows with equal runs share one run, whatever the paper calls them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sac_wsi.model.nets.sizes import Family

if TYPE_CHECKING:
    from sac_wsi.model.points.prompts import PointSettings

Dataset = Literal["monuseg", "dsb", "glas"]
DATASET_NAMES: dict[Dataset, str] = {"monuseg": "MoNuSeg", "dsb": "DSB 2018", "glas": "GlaS"}
MaskLoss = Literal["focal_dice", "dice_ce", "dice_ce_as_printed"]
Selection = Literal["O", "R"]

NOT_SAM: tuple[Family, ...] = ("unet",)


@dataclass(frozen=True)
class Experiment:
    """One model, trained and scored on one dataset with one kind of prompts.

    encoder    "" for the U-Net, which has none
    way        of choosing automatic points: "O" centres of regions, "R" at random; "" without points
    points     n positive and n negative automatic points
    experts    points from the true labels, in place of a person's, in training and test
    mask_loss  "" if no mask decoder is trained
    """

    dataset: Dataset
    family: Family
    encoder: str = "vit_h"
    way: Selection | Literal[""] = ""
    points: int = 0
    experts: int = 0
    mask_loss: MaskLoss | Literal[""] = ""

    def __post_init__(self) -> None:
        # only one spelling of each run, so that equal runs compare equal
        if bool(self.encoder) == (self.family in NOT_SAM):
            raise ValueError(f"{self}: every family but the U-Net has an encoder")
        if bool(self.way) != bool(self.points):
            raise ValueError(f"{self}: a way of choosing goes with points, and only with them")
        if bool(self.mask_loss) == (self.family in ("sam", "unet")):
            raise ValueError(f"{self}: a mask loss goes with a decoder that learns")

    @property
    def learns(self) -> bool:
        """Whether it is trained: all but the unchanged SAM."""
        return self.family != "sam"

    @property
    def sam_model(self) -> str:
        """Name of the checkpoint that the run starts from, as in ``sac-wsi models list``; "" for none."""
        if self.encoder == "vit_t":
            return "MobileSAM"
        return f"sam_{self.encoder}" if self.encoder else ""

    @property
    def name(self) -> str:
        """The name of the run's folder.

        >>> Experiment("monuseg", "sac", "vit_h", "R", 1, 3, "focal_dice").name
        'monuseg-sac-vit_h-R1-expert3-focal_dice'
        """
        points = f"{self.way}{self.points}" if self.points else ""
        experts = f"expert{self.experts}" if self.experts else ""
        parts = (self.dataset, self.family, self.encoder, points, experts, self.mask_loss)
        return "-".join(part for part in parts if part)

    def point_settings(self, seed: int = 0) -> PointSettings:
        """Return the settings of the automatic points, for training and test."""
        from sac_wsi.model.points.prompts import PointSettings  # imports scipy, which --help does not need

        return PointSettings(self.way or "O", positive=self.points, negative=self.points, seed=seed)
