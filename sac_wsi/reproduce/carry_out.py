"""Every run of a table, once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sac_wsi.errors import SacWsiError, WriteError
from sac_wsi.reproduce.audit import SplitAudit
from sac_wsi.reproduce.needs import Given, missing
from sac_wsi.reproduce.parameters import Parameters, count
from sac_wsi.reproduce.results import RowResult, RunRow
from sac_wsi.reproduce.rows import Row, Target
from sac_wsi.reproduce.runs import Dataset, Run
from sac_wsi.reproduce.scale import PAPER_SCALE, Scale

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Line:
    """A row with what it gave. ``same_as``: the label of an earlier row that is the same run."""

    row: Row
    result: RowResult | None = None
    counted: Parameters | None = None
    same_as: str = ""


@dataclass(frozen=True)
class Reproduction:
    target: Target
    scale: Scale
    lines: tuple[Line, ...]
    audits: tuple[SplitAudit, ...] = ()

    @property
    def failed(self) -> tuple[Line, ...]:
        """Rows that were tried and gave nothing."""
        return tuple(line for line in self.lines if line.result is not None and line.result.failed)


@dataclass
class Results:
    """What is known already. Handed on from one target to the next, no run is done twice."""

    by_run: dict[Run, RowResult] = field(default_factory=dict)


def carry_out(
    target: Target,
    run_row: RunRow,
    *,
    scale: Scale = PAPER_SCALE,
    given: Given | None = None,
    audit: Callable[[Dataset], SplitAudit | None] = lambda dataset: None,
    results: Results | None = None,
    on_line: Callable[[Line], None] = lambda line: None,
) -> Reproduction:
    """``run_row`` is asked for each run that has what it needs, with the run at this scale.

    A row that fails does not keep the others from running; a full disk does. ``audit`` is asked for each
    set, ``on_line`` is told each row when it is done.
    """
    known = results or Results()
    audits = tuple(found for each in target.datasets if (found := audit(each)) is not None)
    lines: list[Line] = []
    for row in target.rows:
        lines.append(_line(row, run_row, scale, given or Given(), known, lines))
        on_line(lines[-1])
    return Reproduction(target, scale, tuple(lines), audits)


def _line(row: Row, run_row: RunRow, scale: Scale, given: Given, known: Results, before: list[Line]) -> Line:
    if row.counted is not None:
        return Line(row, counted=count(row.counted))
    if row.run is None:
        return Line(row)
    run = scale.of(row.run)
    if reason := missing(row.run, scale, given):
        return Line(row, RowResult(why_not=reason))
    if run not in known.by_run:
        known.by_run[run] = _tried(replace(row, run=run), run_row)
    same_as = next((b.row.label for b in before if b.row.run and scale.of(b.row.run) == run), "")
    return Line(row, known.by_run[run], same_as=same_as)


def _tried(row: Row, run_row: RunRow) -> RowResult:
    try:
        return run_row(row)
    except WriteError:
        raise
    except SacWsiError as error:
        return RowResult(why_not=str(error), failed=True)
