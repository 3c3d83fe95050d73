"""The curves in the log of a training run."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast, get_args

from sac_wsi.charts.line_chart import is_drawable
from sac_wsi.evaluate.metrics import MEASURES
from sac_wsi.train.log import events_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Kind = Literal["train", "validation"]
SCORES = frozenset({*MEASURES, "f1", "f1_pooled"})
"""Names of values from 0 to 1 for which larger is better."""


@dataclass(frozen=True)
class Curve:
    """One line of a chart: the values of a name at ascending steps."""

    name: str
    kind: Kind
    steps: tuple[int, ...]
    values: tuple[float, ...]

    def points(self) -> list[tuple[int, float]]:
        """Return the (step, value) pairs that can be drawn."""
        return [point for point in zip(self.steps, self.values, strict=True) if is_drawable(point[1])]


def curves_of(log: Iterable[str]) -> tuple[Curve, ...]:
    """Return the curves in the lines of ``log.jsonl``.

    A resumed run logs some steps twice; the last one counts.
    """
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
    """Split losses from scores. Validation losses get the name of training: ``loss_iou`` becomes ``iou``."""
    losses, scores = [], []
    for curve in curves:
        # the `iou` of training is a loss
        if curve.kind == "validation" and curve.name in SCORES:
            scores.append(curve)
        else:
            losses.append(replace(curve, name=curve.name.removeprefix("loss_")))
    return losses, scores
