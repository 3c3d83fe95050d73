"""What the log of a training run says, as lines of a chart."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast, get_args

from sac_wsi.evaluate.metrics import MEASURES
from sac_wsi.train.log import events_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Kind = Literal["train", "validation"]
SCORES = frozenset({*MEASURES, "f1", "f1_pooled"})
"""Names of values from 0 to 1 of which more is better."""
_LARGEST = 1e30


@dataclass(frozen=True)
class Curve:
    """One line of a chart; steps ascend."""

    name: str
    kind: Kind
    steps: tuple[int, ...]
    values: tuple[float, ...]

    def points(self) -> list[tuple[int, float]]:
        """Without those that no axis can show."""
        return [point for point in zip(self.steps, self.values, strict=True) if drawable(point[1])]


def drawable(value: float) -> bool:
    return abs(value) < _LARGEST  # false for NaN, too


def curves_of(log: Iterable[str]) -> tuple[Curve, ...]:
    """From the lines of ``log.jsonl``. A step that was logged again after a resume counts once, the last."""
    found: dict[tuple[str, Kind], dict[int, float]] = {}
    for event in events_in(log):
        for name, value in event.values.items() if event.kind in get_args(Kind) else ():
            points = found.setdefault((name, cast("Kind", event.kind)), {})
            points[event.step] = math.nan if value is None else float(value)
    return tuple(
        Curve(name, kind, tuple(sorted(points)), tuple(points[step] for step in sorted(points)))
        for (name, kind), points in found.items()
    )


def losses_and_scores(curves: Sequence[Curve]) -> tuple[list[Curve], list[Curve]]:
    """Losses under the name of their term alone: ``loss_iou`` of validation is ``iou`` of training."""
    losses, scores = [], []
    for curve in curves:
        # training's own `iou` is a loss
        if curve.kind == "validation" and curve.name in SCORES:
            scores.append(curve)
        else:
            losses.append(replace(curve, name=curve.name.removeprefix("loss_")))
    return losses, scores
