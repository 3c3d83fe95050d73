"""Format a table of results as Markdown, as CSV and for the terminal: the paper's number beside ours."""

from __future__ import annotations

import csv
import io
import textwrap
from typing import TYPE_CHECKING

from sac_wsi.reproduce.paper import PAPER
from sac_wsi.reproduce.result_table import PER_CENT, Cell, Column, ResultRow, ResultTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

NOTHING = "–"
_WIDTH = 110


def number(value: float | None, digits: int) -> str:
    """Return the number with a fixed number of digits, or a dash for None.

    >>> number(84.114, 2), number(12746129, 0), number(None, 2)
    ('84.11', '12,746,129', '–')
    """
    return NOTHING if value is None else f"{value:,.{digits}f}"


# --- markdown ------------------------------------------------------------------------------------


def markdown(table: ResultTable, *, plot: str = "") -> str:
    """Return the table as Markdown; ``plot`` is the file name of its picture."""
    return "\n".join(_markdown_lines(table, plot)) + "\n"


def _markdown_lines(table: ResultTable, plot: str) -> Iterator[str]:
    yield f"# {table.title}"
    yield ""
    if table.warning:
        yield f"> **{table.warning}**"
        yield ""
    yield f"Paper: {PAPER}. {_units(table)}"
    yield ""
    headings = ["row"]
    for column in table.columns:
        headings += (
            [f"{column.heading}, paper", f"{column.heading}, ours"] if column.paper else [column.heading]
        )
    yield _piped([*headings, ""])
    yield _piped(["---", *["--:"] * (len(headings) - 1), "---"])
    for row in table.rows:
        marks = f" <sup>{','.join(map(str, row.marks))}</sup>" if row.marks else ""
        yield _piped([_safe(row.label) + marks, *_markdown_cells(row, table.columns), _safe(_reason_of(row))])
    yield ""
    for i, footnote in table.footnotes:
        yield f"{i}. {footnote}"
    if table.footnotes:
        yield ""
    if table.audits:
        yield "**Split**"
        yield ""
        yield from (f"* {_safe(line)}" for line in table.audits)
        yield ""
    if table.remarks:
        yield "**On all rows**"
        yield ""
        yield from (f"* {remark}" for remark in table.remarks)
        yield ""
    if plot:
        yield f"![{table.title}]({plot})"


def _markdown_cells(row: ResultRow, columns: Iterable[Column]) -> Iterator[str]:
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


def _reason_of(row: ResultRow) -> str:
    if row.status in ("not run", "failed"):
        return f"{row.status}: {row.reason}"
    return row.reason


def _units(table: ResultTable) -> str:
    if table.columns[0].key == "trainable":
        return "Numbers of parameters."
    return "Scores in per cent; ours with [95 % interval]."


# --- csv -----------------------------------------------------------------------------------------


def csv_text(table: ResultTable) -> str:
    """Return the table as CSV, scores in per cent. There is a ``paper_`` column if the paper has numbers."""
    facts = list(table.rows[0].facts)
    numbers = [name for column in table.columns for name in _csv_names(column)]
    lines = [["row", "status", "reason", *facts, *numbers, "footnotes", "warning"]]
    for row in table.rows:
        values = [_csv_number(value) for column in table.columns for value in _csv_values(row, column)]
        marks = " ".join(map(str, row.marks))
        lines.append([row.label, row.status, row.reason, *row.facts.values(), *values, marks, table.warning])
    return _csv(lines)


def curves_csv(table: ResultTable) -> str:
    """Return a CSV line per row and epoch, Dice in per cent; "" if no row has a curve."""
    points = [(row.label, epoch, dice) for row in table.rows for epoch, dice in row.curve]
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


def _csv_values(row: ResultRow, column: Column) -> list[float | None]:
    cell = row.cells.get(column.key, Cell())
    spread = (cell.interval or (None, None)) if column.interval else ()
    return [*([cell.paper] if column.paper else []), cell.ours, *spread]


def _csv_number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")


# --- terminal ------------------------------------------------------------------------------------


def terminal(table: ResultTable) -> str:
    """Return the table as text for the terminal."""
    return "\n".join(_terminal_lines(table))


def _terminal_lines(table: ResultTable) -> Iterator[str]:
    yield from _banner(table.warning)
    yield table.title
    yield from _block(table, [column for column in table.columns if column.main], table.rows)
    others = [column for column in table.columns if not column.main]
    ran = [row for row in table.rows if any(_has(row, column) for column in others)]
    if ran:
        yield ""
        yield from _block(table, others, ran)
    yield from _reasons(table)
    if table.audits:
        yield ""
        yield from _wrapped("split  ", table.audits)
    if table.footnotes or table.remarks:
        yield ""
    for i, footnote in table.footnotes:
        yield from _wrapped(f"[{i}] ", [footnote])
    yield from _wrapped("* ", table.remarks)
    yield from _banner(table.warning)


def _banner(warning: str) -> Iterator[str]:
    if warning:
        rule = "!" * _WIDTH
        yield from (rule, *textwrap.wrap(warning, _WIDTH), rule)


def _block(table: ResultTable, columns: Sequence[Column], rows: Sequence[ResultRow]) -> Iterator[str]:
    """Yield two heading lines, then a line per row."""
    first, second = [""], ["row"]
    for column in columns:
        first += [column.heading, ""] if column.paper else [column.heading]
        second += ["paper", "ours"] if column.paper else ["ours"]
    lines = [first, second]
    for row in rows:
        marks = f" [{','.join(map(str, row.marks))}]" if row.marks else ""
        cells = [row.label + marks]
        for i, column in enumerate(columns):
            cell = row.cells.get(column.key, Cell())
            cells += [number(cell.paper, column.digits)] if column.paper else []
            cells.append(_terminal_ours(row, cell, column, first=i == 0))
        lines.append(cells)
    widths = [max(len(line[i]) for line in lines) for i in range(len(second))]
    for line in lines:
        rest = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        yield "  ".join([line[0].ljust(widths[0]), *rest]).rstrip()


def _terminal_ours(row: ResultRow, cell: Cell, column: Column, *, first: bool) -> str:
    """Return our number with its interval, which has one digit less to save space."""
    if cell.ours is None:
        return row.status if first and row.status != "ran" else NOTHING
    text = number(cell.ours, column.digits)
    if cell.interval is None:
        return text
    low, high = (number(value, max(0, column.digits - 1)) for value in cell.interval)
    return f"{text} ({low}–{high})"


def _has(row: ResultRow, column: Column) -> bool:
    return row.cells.get(column.key, Cell()).ours is not None


def _reasons(table: ResultTable) -> Iterator[str]:
    """Yield each reason once, with all rows that it concerns."""
    by_reason: dict[str, list[str]] = {}
    for row in table.rows:
        if reason := _reason_of(row):
            by_reason.setdefault(reason, []).append(row.label)
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
