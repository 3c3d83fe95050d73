"""The result of a run, and the parameter counts of Table 6."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sac_wsi.evaluate.metrics import Scores

if TYPE_CHECKING:
    from sac_wsi.model.nets.sizes import Family
    from sac_wsi.reproduce.rows import Row


@dataclass(frozen=True)
class RunResult:
    """Either the ``scores`` of a run or the ``reason`` why there are none.

    failed       the run started, and ``reason`` is its error
    checkpoint   file of the scored weights
    dice_curve   (epoch, mean Dice on the validation images), in order
    """

    scores: Scores | None = None
    reason: str = ""
    seconds_per_epoch: float | None = None
    train_minutes: float | None = None
    checkpoint: str = ""
    dice_curve: tuple[tuple[float, float], ...] = ()
    failed: bool = False

    def __post_init__(self) -> None:
        if (self.scores is None) != bool(self.reason):
            raise ValueError("a result has scores or says why not, and not both")


class RunRow(Protocol):
    """A function that trains and scores one row."""

    def __call__(self, row: Row) -> RunResult:
        """Train ``row.run`` (or continue, or use its finished weights) and score it. It is never None."""
        ...


@dataclass(frozen=True)
class ParameterCounts:
    """Numbers of parameters, as in Table 6."""

    trainable: int
    frozen: int
    total: int


def count_parameters(family: Family, encoder: str = "vit_h") -> ParameterCounts:
    """Count the parameters as the paper does, on tensors that hold no memory."""
    from sac_wsi.model.nets.counts import paper_counts

    found = paper_counts(family, encoder)
    return ParameterCounts(found.trainable, found.frozen, found.total)
