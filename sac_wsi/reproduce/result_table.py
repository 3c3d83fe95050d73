"""The table of results: all texts and numbers, independent of the output format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from sac_wsi.reproduce.experiment import DATASET_NAMES
from sac_wsi.reproduce.footnotes import FOOTNOTES, numbered

if TYPE_CHECKING:
    from sac_wsi.evaluate.metrics import Scores
    from sac_wsi.reproduce.results import RunResult
    from sac_wsi.reproduce.rows import Target
    from sac_wsi.reproduce.run_table import FinishedRow, Reproduction

PER_CENT = 100.0
NEAR_BEST = 0.99

Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Column:
    """One score of the table.

    paper     whether the paper has a number for any row
    main      shown in the terminal's first table; other columns form a second table there
    interval  whether our number can have an interval
    """

    key: str
    heading: str
    digits: int = 2
    paper: bool = False
    main: bool = True
    interval: bool = False


@dataclass(frozen=True)
class Cell:
    """Numbers in per cent, except for seconds, minutes, epochs and parameters."""

    paper: float | None = None
    ours: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class ResultRow:
    """One row of the table.

    status  ran, not run, failed, quoted or counted
    reason  why it did not run or failed, or which row is the same run
    marks   numbers of its footnotes
    facts   values for the CSV file: dataset, family, encoder, …
    """

    label: str
    cells: Mapping[str, Cell]
    status: str
    reason: str = ""
    marks: tuple[int, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    curve: Curve = ()


@dataclass(frozen=True)
class ResultTable:
    """A table of results.

    warning     text to show above all numbers, or ""
    footnotes   (number, text)
    remarks     remarks on all rows
    audits      lines about the split of the images
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[ResultRow, ...]
    warning: str = ""
    remarks: tuple[str, ...] = ()
    footnotes: tuple[tuple[int, str], ...] = ()
    audits: tuple[str, ...] = ()


_MEASURES = (
    Column("f1", "F1", interval=True),
    Column("iou", "IoU", interval=True),
    Column("dice", "Dice", interval=True),
    Column("aji", "AJI", main=False, interval=True),
    Column("pq", "PQ", main=False, interval=True),
    Column("f1_det", "detection F1", main=False, interval=True),
)
_SECONDS = Column("seconds_per_epoch", "s/epoch", 1)
_MINUTES = Column("train_minutes", "training minutes", 1, main=False)
_CURVE = (
    Column("best_dice", "best val Dice"),
    Column("best_epoch", "at epoch", 1),
    Column("near_best_epoch", "99 % of it at", 1),
)
_PARAMETERS = tuple(Column(name, name, 0) for name in ("trainable", "frozen", "total"))


def make_result_table(found: Reproduction) -> ResultTable:
    """Return the table with the paper's numbers, ours, and all footnotes."""
    target = found.target
    numbers = numbered([key for line in found.lines for key in line.row.notes])
    return ResultTable(
        name=target.name,
        title=target.title,
        columns=tuple(_columns(target)),
        rows=tuple(_row(line, found, numbers) for line in found.lines),
        # the counts do not depend on the scale
        warning="" if target.shows == "parameters" else found.scale.warning,
        remarks=tuple(FOOTNOTES[key] for key in target.notes),
        footnotes=tuple((number, FOOTNOTES[key]) for key, number in numbers.items()),
        audits=tuple(_audits(found)),
    )


def _columns(target: Target) -> Iterator[Column]:
    if target.shows == "parameters":
        found: tuple[Column, ...] = _PARAMETERS
    elif target.shows == "curves":
        found = (*_CURVE, *_MEASURES, _MINUTES)
    else:
        found = (*_MEASURES, *((_SECONDS,) if target.times else ()), _MINUTES)
    for column in found:
        has = any(row.paper.get(column.key) is not None for row in target.rows)
        yield replace(column, paper=has)


def _row(line: FinishedRow, found: Reproduction, numbers: Mapping[str, int]) -> ResultRow:
    ours = dict(_ours(line))
    keys = {**dict.fromkeys(line.row.paper), **dict.fromkeys(ours)}
    cells = {}
    for key in keys:
        value, interval = ours.get(key, (None, None))
        cells[key] = Cell(line.row.paper.get(key), value, interval)
    status, reason = _status(line)
    return ResultRow(
        label=line.row.label,
        cells=cells,
        status=status,
        reason=_printable(reason),
        marks=tuple(sorted(numbers[key] for key in line.row.notes)),
        facts=_facts(line, found),
        # every training has a curve, but only Figure 4 shows them
        curve=line.result.dice_curve if line.result and found.target.shows == "curves" else (),
    )


def _status(line: FinishedRow) -> tuple[str, str]:
    if line.counted is not None:
        return "counted", ""
    if line.result is None:
        return "quoted", "quoted by the paper, not run"
    if line.result.failed:
        return "failed", line.result.reason
    if line.result.scores is None:
        return "not run", line.result.reason
    return "ran", f"the same run as {line.same_as}" if line.same_as else ""


Ours = tuple[str, tuple[float | None, tuple[float, float] | None]]


def _ours(line: FinishedRow) -> Iterator[Ours]:
    if line.counted is not None:
        for name, value in asdict(line.counted).items():
            yield name, (float(value), None)
    result = line.result
    if result is None:
        return
    if result.scores is not None:
        yield from _scores(result.scores)
    yield "seconds_per_epoch", (result.seconds_per_epoch, None)
    yield "train_minutes", (result.train_minutes, None)
    yield from _of_curve(result)


def _scores(scores: Scores) -> Iterator[Ours]:
    for column in _MEASURES:
        name = "f1_pooled" if column.key == "f1" else column.key
        value = scores.f1_pooled if column.key == "f1" else scores.mean[name]
        spread = scores.intervals[name]
        interval = (PER_CENT * spread.low, PER_CENT * spread.high) if spread else None
        yield column.key, (PER_CENT * value, interval)


def _of_curve(result: RunResult) -> Iterator[Ours]:
    if not result.dice_curve:
        return
    epoch, best = max(result.dice_curve, key=lambda point: point[1])
    yield "best_dice", (PER_CENT * best, None)
    yield "best_epoch", (epoch, None)
    yield "near_best_epoch", (epoch_near_best(result.dice_curve), None)


def epoch_near_best(curve: Curve, share: float = NEAR_BEST) -> float:
    """Return the first epoch that reaches ``share`` of the best Dice: how fast the training converges.

    >>> epoch_near_best(((1, 0.5), (2, 0.8), (3, 0.801), (9, 0.802)))
    2
    """
    best = max(dice for _, dice in curve)
    return next(epoch for epoch, dice in curve if dice >= share * best)


def _facts(line: FinishedRow, found: Reproduction) -> dict[str, str]:
    row, result = line.row, line.result
    run = found.scale.of(row.run) if row.run else None
    facts = {
        "target": found.target.name,
        "name": row.name,
        "reading": row.reading,
        "dataset": row.dataset or "",
        "scale": found.scale.name if run else "",
    }
    for name in ("family", "encoder", "way", "points", "experts", "mask_loss"):
        facts[name] = str(getattr(run, name)) if run else ""
    facts["family"] = facts["family"] or row.counted or ""
    facts["run"] = run.name if run else ""
    facts["images"] = str(len(result.scores.images)) if result and result.scores else ""
    facts["checkpoint"] = result.checkpoint if result else ""
    return facts


def _audits(found: Reproduction) -> Iterator[str]:
    audited = {audit.dataset: audit for audit in found.audits}
    for dataset in found.target.datasets:
        if dataset in audited:
            yield from map(_printable, audited[dataset].lines())
        else:
            instead = "" if found.scale.from_sam else "; synthetic images are used instead"
            yield f"{DATASET_NAMES[dataset]}: not available, not checked{instead}"


def _printable(text: str) -> str:
    """Return the text in one line: other characters of file names are escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
