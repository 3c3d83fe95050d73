"""What a run gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sac_wsi.evaluate.metrics import Scores

if TYPE_CHECKING:
    from sac_wsi.reproduce.rows import Row


@dataclass(frozen=True)
class RowResult:
    """``scores``, or ``why_not``: needs something that is not at hand.

    failed       it was tried, and ``why_not`` says what went wrong
    checkpoint   the file that was scored
    dice_curve   (epoch, mean Dice on the validation images), in order
    """

    scores: Scores | None = None
    why_not: str = ""
    seconds_per_epoch: float | None = None
    train_minutes: float | None = None
    checkpoint: str = ""
    dice_curve: tuple[tuple[float, float], ...] = ()
    failed: bool = False

    def __post_init__(self) -> None:
        if (self.scores is None) != bool(self.why_not):
            raise ValueError("a result has scores or says why not, and not both")


class RunRow(Protocol):
    def __call__(self, row: Row) -> RowResult:
        """Train (or go on, or find what is finished) and score ``row.run``, which is never None."""
        ...
