"""A sheet as Markdown, as CSV and for the terminal: the paper's number beside ours."""

from __future__ import annotations

import csv
import io
import textwrap
from typing import TYPE_CHECKING

from sac_wsi.reproduce.paper import PAPER
from sac_wsi.reproduce.sheet import PER_CENT, Cell, Column, Sheet, SheetRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

NOTHING = "–"
_WIDTH = 110


def number(value: float | None, digits: int) -> str:
    """
    >>> number(84.114, 2), number(12746129, 0), number(None, 2)
    ('84.11', '12,746,129', '–')
    """
    return NOTHING if value is None else f"{value:,.{digits}f}"


# --- markdown ------------------------------------------------------------------------------------


def markdown(sheet: Sheet, *, plot: str = "") -> str:
    """``plot`` is the name of the picture that lies beside it."""
    return "\n".join(_markdown_lines(sheet, plot)) + "\n"


def _markdown_lines(sheet: Sheet, plot: str) -> Iterator[str]:
    yield f"# {sheet.title}"
    yield ""
    if sheet.warning:
        yield f"> **{sheet.warning}**"
        yield ""
    yield f"Paper: {PAPER}. {_units(sheet)}"
    yield ""
    headings = ["row"]
    for column in sheet.columns:
        headings += (
            [f"{column.heading}, paper", f"{column.heading}, ours"] if column.paper else [column.heading]
        )
    yield _piped([*headings, ""])
    yield _piped(["---", *["--:"] * (len(headings) - 1), "---"])
    for row in sheet.rows:
        marks = f" <sup>{','.join(map(str, row.marks))}</sup>" if row.marks else ""
        yield _piped([_safe(row.label) + marks, *_markdown_cells(row, sheet.columns), _safe(_told(row))])
    yield ""
    for i, footnote in sheet.footnotes:
        yield f"{i}. {footnote}"
    if sheet.footnotes:
        yield ""
    if sheet.audits:
        yield "**Split**"
        yield ""
        yield from (f"* {_safe(line)}" for line in sheet.audits)
        yield ""
    if sheet.remarks:
        yield "**On all rows**"
        yield ""
        yield from (f"* {remark}" for remark in sheet.remarks)
        yield ""
    if plot:
        yield f"![{sheet.title}]({plot})"


def _markdown_cells(row: SheetRow, columns: Iterable[Column]) -> Iterator[str]:
    for column in columns:
        cell = row.cells.get(column.key, Cell())
        if column.paper:
            yield number(cell.paper, column.digits)
        spread = ""
        if cell.interval:
            low, high = (number(value, column.digits) for value in cell.interval)
            spread = f" [{low}, {high}]"
        yield number(cell.ours, column.digits) + spread


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _safe(text: str) -> str:
    for mark, kept in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|")):
        text = text.replace(mark, kept)
    return text


def _told(row: SheetRow) -> str:
    if row.status in ("not run", "failed"):
        return f"{row.status}: {row.told}"
    return row.told


def _units(sheet: Sheet) -> str:
    if sheet.columns[0].key == "trainable":
        return "Numbers of parameters."
    return "Scores in per cent; ours with [95 % interval]."


# --- csv -----------------------------------------------------------------------------------------


def csv_text(sheet: Sheet) -> str:
    """One line a row; scores in per cent. A ``paper_`` column only where the paper has a number."""
    facts = list(sheet.rows[0].facts)
    numbers = [name for column in sheet.columns for name in _csv_names(column)]
    lines = [["row", "status", "told", *facts, *numbers, "footnotes", "warning"]]
    for row in sheet.rows:
        values = [_csv_number(value) for column in sheet.columns for value in _csv_values(row, column)]
        marks = " ".join(map(str, row.marks))
        lines.append([row.label, row.status, row.told, *row.facts.values(), *values, marks, sheet.warning])
    return _csv(lines)


def curves_csv(sheet: Sheet) -> str:
    """One line a row and epoch; Dice in per cent. "" where no row has a curve."""
    points = [(row.label, epoch, dice) for row in sheet.rows for epoch, dice in row.curve]
    if not points:
        return ""
    lines = [(label, _csv_number(epoch), _csv_number(PER_CENT * dice)) for label, epoch, dice in points]
    return _csv([("row", "epoch", "dice"), *lines])


def _csv(lines: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()


def _csv_names(column: Column) -> list[str]:
    key = column.key
    spread = [f"{key}_low", f"{key}_high"] if column.interval else []
    return [*([f"paper_{key}"] if column.paper else []), key, *spread]


def _csv_values(row: SheetRow, column: Column) -> list[float | None]:
    cell = row.cells.get(column.key, Cell())
    spread = (cell.interval or (None, None)) if column.interval else ()
    return [*([cell.paper] if column.paper else []), cell.ours, *spread]


def _csv_number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")


# --- terminal ------------------------------------------------------------------------------------


def terminal(sheet: Sheet) -> str:
    return "\n".join(_terminal_lines(sheet))


def _terminal_lines(sheet: Sheet) -> Iterator[str]:
    yield from _banner(sheet.warning)
    yield sheet.title
    yield from _block(sheet, [column for column in sheet.columns if column.main], sheet.rows)
    others = [column for column in sheet.columns if not column.main]
    ran = [row for row in sheet.rows if any(_has(row, column) for column in others)]
    if ran:
        yield ""
        yield from _block(sheet, others, ran)
    yield from _reasons(sheet)
    if sheet.audits:
        yield ""
        yield from _wrapped("split  ", sheet.audits)
    if sheet.footnotes or sheet.remarks:
        yield ""
    for i, footnote in sheet.footnotes:
        yield from _wrapped(f"[{i}] ", [footnote])
    yield from _wrapped("* ", sheet.remarks)
    yield from _banner(sheet.warning)


def _banner(warning: str) -> Iterator[str]:
    if warning:
        rule = "!" * _WIDTH
        yield from (rule, *textwrap.wrap(warning, _WIDTH), rule)


def _block(sheet: Sheet, columns: Sequence[Column], rows: Sequence[SheetRow]) -> Iterator[str]:
    """Two lines of heading, then a line for each row; what is empty throughout is left out."""
    first, second = [""], ["row"]
    for column in columns:
        first += [column.heading, ""] if column.paper else [column.heading]
        second += ["paper", "ours"] if column.paper else ["ours"]
    table = [first, second]
    for row in rows:
        marks = f" [{','.join(map(str, row.marks))}]" if row.marks else ""
        cells = [row.label + marks]
        for i, column in enumerate(columns):
            cell = row.cells.get(column.key, Cell())
            cells += [number(cell.paper, column.digits)] if column.paper else []
            cells.append(_terminal_ours(row, cell, column, first=i == 0))
        table.append(cells)
    widths = [max(len(line[i]) for line in table) for i in range(len(second))]
    for line in table:
        rest = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        yield "  ".join([line[0].ljust(widths[0]), *rest]).rstrip()


def _terminal_ours(row: SheetRow, cell: Cell, column: Column, *, first: bool) -> str:
    """The interval with one digit less: there is little room."""
    if cell.ours is None:
        return row.status if first and row.status != "ran" else NOTHING
    told = number(cell.ours, column.digits)
    if cell.interval is None:
        return told
    low, high = (number(value, max(0, column.digits - 1)) for value in cell.interval)
    return f"{told} ({low}–{high})"


def _has(row: SheetRow, column: Column) -> bool:
    return row.cells.get(column.key, Cell()).ours is not None


def _reasons(sheet: Sheet) -> Iterator[str]:
    """Rows by what there is to say of them; most often it is the same of many."""
    by_reason: dict[str, list[str]] = {}
    for row in sheet.rows:
        if told := _told(row):
            by_reason.setdefault(told, []).append(row.label)
    if by_reason:
        yield ""
    for reason, labels in by_reason.items():
        yield from _wrapped("- ", [f"{reason.rstrip('.')}: {', '.join(labels)}"])


def _wrapped(mark: str, texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield from textwrap.wrap(
            text,
            _WIDTH,
            initial_indent=mark,
            subsequent_indent=" " * len(mark),
            break_long_words=False,
            break_on_hyphens=False,
        )
