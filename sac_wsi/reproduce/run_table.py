"""Run every row of a table. Rows with the same run share its result."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sac_wsi.errors import SacWsiError, WriteError
from sac_wsi.reproduce.audit import SplitAudit
from sac_wsi.reproduce.experiment import Dataset, Experiment
from sac_wsi.reproduce.inputs import Available, missing_inputs
from sac_wsi.reproduce.results import ParameterCounts, RunResult, RunRow, count_parameters
from sac_wsi.reproduce.rows import Row, Target
from sac_wsi.reproduce.scale import PAPER_SCALE, Scale

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class FinishedRow:
    """A row with its result. ``same_as``: label of an earlier row with the same run."""

    row: Row
    result: RunResult | None = None
    counted: ParameterCounts | None = None
    same_as: str = ""


@dataclass(frozen=True)
class Reproduction:
    """A table with its finished rows and the checks of its splits."""

    target: Target
    scale: Scale
    lines: tuple[FinishedRow, ...]
    audits: tuple[SplitAudit, ...] = ()

    @property
    def failed(self) -> tuple[FinishedRow, ...]:
        """Rows that started and failed."""
        return tuple(line for line in self.lines if line.result is not None and line.result.failed)


@dataclass
class RunCache:
    """Results by run. Pass it from one table to the next, so that no run is repeated."""

    by_run: dict[Experiment, RunResult] = field(default_factory=dict)


def run_table(
    target: Target,
    run_row: RunRow,
    *,
    scale: Scale = PAPER_SCALE,
    available: Available | None = None,
    audit: Callable[[Dataset], SplitAudit | None] = lambda dataset: None,
    results: RunCache | None = None,
    on_row: Callable[[FinishedRow], None] = lambda line: None,
) -> Reproduction:
    """Run the rows of a table.

    An error in one row does not stop the others, except for an error of writing (a full disk).

    Args:
        target: The table.
        run_row: Trains and scores one row; its run is already at this scale.
        scale: Size of the models and of the training.
        available: SAM checkpoints and datasets that the user has. Rows that need others are not run.
        audit: Checks the split of a dataset.
        results: Results of earlier tables.
        on_row: Receives each row when it is finished.
    """
    known = results or RunCache()
    audits = tuple(found for each in target.datasets if (found := audit(each)) is not None)
    lines: list[FinishedRow] = []
    for row in target.rows:
        lines.append(_finish_row(row, run_row, scale, available or Available(), known, lines))
        on_row(lines[-1])
    return Reproduction(target, scale, tuple(lines), audits)


def _finish_row(
    row: Row, run_row: RunRow, scale: Scale, available: Available, known: RunCache, before: list[FinishedRow]
) -> FinishedRow:
    if row.counted is not None:
        return FinishedRow(row, counted=count_parameters(row.counted))
    if row.run is None:
        return FinishedRow(row)
    run = scale.of(row.run)
    if reason := missing_inputs(row.run, scale, available):
        return FinishedRow(row, RunResult(reason=reason))
    if run not in known.by_run:
        known.by_run[run] = _try_row(replace(row, run=run), run_row)
    same_as = next((b.row.label for b in before if b.row.run and scale.of(b.row.run) == run), "")
    return FinishedRow(row, known.by_run[run], same_as=same_as)


def _try_row(row: Row, run_row: RunRow) -> RunResult:
    try:
        return run_row(row)
    except WriteError:
        raise
    except SacWsiError as error:
        return RunResult(reason=str(error), failed=True)
