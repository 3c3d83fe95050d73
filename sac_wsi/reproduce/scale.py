"""As the paper did it, or so small that every row's code runs in minutes and no number means anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from sac_wsi.model.nets.sizes import ModelSize, PrompterSize, paper_size

if TYPE_CHECKING:
    from sac_wsi.reproduce.runs import Run

SMALL_WARNING = (
    "SCALE SMALL: THESE NUMBERS MEAN NOTHING. A tiny encoder learnt from nothing for a few steps; they show "
    "only that the code of every row runs."
)


@dataclass(frozen=True)
class Scale:
    """encoder      put in the place of every encoder, without weights of SAM; "": as the row says
    tile_px        side of the input; 0: SAM's own
    prompter_width first filters of the U-Net; 0: the paper's
    steps          of training; 0: the paper's epochs, as ``recipe`` says
    mpp            micrometres per pixel; 0: the set's own
    """

    name: Literal["paper", "small"]
    encoder: str = ""
    tile_px: int = 0
    prompter_width: int = 0
    steps: int = 0
    mpp: float = 0.0

    @property
    def warning(self) -> str:
        return SMALL_WARNING if self.name == "small" else ""

    @property
    def side_px(self) -> int:
        """Of the input."""
        return self.tile_px or paper_size("sac", "vit_h").tile_px

    @property
    def from_sam(self) -> bool:
        """Whether encoders begin with Meta's weights."""
        return not self.encoder

    def of(self, run: Run) -> Run:
        """The run at this scale."""
        return replace(run, encoder=self.encoder) if self.encoder and run.encoder else run

    def size(self, run: Run) -> ModelSize:
        """Of the model of a run."""
        size = paper_size(run.family, self.encoder or run.encoder or "vit_h")
        return replace(
            size,
            tile_px=self.tile_px or size.tile_px,
            prompter=PrompterSize(self.prompter_width) if self.prompter_width else size.prompter,
        )


PAPER_SCALE = Scale("paper")
SMALL_SCALE = Scale("small", encoder="vit_nano", tile_px=64, prompter_width=4, steps=4, mpp=1.0)
SCALES: dict[str, Scale] = {scale.name: scale for scale in (PAPER_SCALE, SMALL_SCALE)}
