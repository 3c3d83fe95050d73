"""The paper's scale; MobileSAM's, for a CPU; and one so small that no number means anything.

At mobile scale the order of the methods can be compared with the paper's, not their numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from sac_wsi.model.nets.sizes import ModelSize, PrompterSize, paper_size

if TYPE_CHECKING:
    from sac_wsi.reproduce.experiment import Experiment

SMALL_WARNING = (
    "SCALE SMALL: THESE NUMBERS MEAN NOTHING. A tiny encoder was trained from random weights for a few "
    "steps; they show only that the code of every row runs."
)
MOBILE_WARNING = (
    "SCALE MOBILE: MobileSAM's encoder (TinyViT) at 512 pixels and a U-Net of half the paper's width. "
    "Compare the order of the methods with the paper's, not the numbers."
)


@dataclass(frozen=True)
class Scale:
    """Sizes of the models and of the training.

    encoder        replaces every encoder; "": the row's own
    tile_px        side of the input in pixels; 0: SAM's own
    prompter_width filters of the first layer of the U-Net; 0: the paper's
    steps          training steps; 0: the epochs in ``training_config``
    mpp            micrometres per pixel; 0: the set's own
    """

    name: Literal["paper", "mobile", "small"]
    encoder: str = ""
    tile_px: int = 0
    prompter_width: int = 0
    steps: int = 0
    mpp: float = 0.0

    @property
    def warning(self) -> str:
        """The warning to show with the numbers, or ""."""
        return {"small": SMALL_WARNING, "mobile": MOBILE_WARNING}.get(self.name, "")

    @property
    def side_px(self) -> int:
        """Side of the input in pixels."""
        return self.tile_px or paper_size("sac", "vit_h").tile_px

    @property
    def from_sam(self) -> bool:
        """Whether encoders start from pretrained weights of SAM; they are random at small scale."""
        return self.name != "small"

    def of(self, run: Experiment) -> Experiment:
        """Return the run at this scale."""
        return replace(run, encoder=self.encoder) if self.encoder and run.encoder else run

    def size(self, run: Experiment) -> ModelSize:
        """Return the size of a run's model."""
        size = paper_size(run.family, self.encoder or run.encoder or "vit_h")
        return replace(
            size,
            tile_px=self.tile_px or size.tile_px,
            prompter=PrompterSize(self.prompter_width) if self.prompter_width else size.prompter,
        )


PAPER_SCALE = Scale("paper")
SMALL_SCALE = Scale("small", encoder="vit_nano", tile_px=64, prompter_width=4, steps=4, mpp=1.0)
MOBILE_SCALE = Scale("mobile", encoder="vit_t", tile_px=512, prompter_width=16)
SCALES: dict[str, Scale] = {scale.name: scale for scale in (PAPER_SCALE, MOBILE_SCALE, SMALL_SCALE)}
