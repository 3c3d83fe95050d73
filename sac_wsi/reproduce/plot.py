"""A sheet as a picture: an SVG that needs nothing else. Open marks are the paper's, full ones ours."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from sac_wsi.reproduce.sheet import PER_CENT, Cell, Column, Curve, Sheet, SheetRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LABEL_PX, _PANEL_PX, _GAP_PX, _ROW_PX = 250, 220, 30, 22
_CURVES_PX = (700, 380)
_PAPER, _OURS, _GRID, _INK = "#c2410c", "#1d4ed8", "#e5e7eb", "#111827"
_COLOURS = ("#1d4ed8", "#c2410c", "#047857", "#7e22ce", "#a16207", "#be123c")
_DASHES = ("", "7 4", "2 3", "9 3 2 3")
_CHARACTER_PX = 6.6


@dataclass(frozen=True)
class Axis:
    """Values from ``low`` to ``high`` on ``px`` pixels that begin at ``start``; y axes have px below 0."""

    low: float
    high: float
    start: float
    px: float

    def at(self, value: float) -> float:
        return self.start + self.px * (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        step = tick_step(self.high - self.low)
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def axis(values: Sequence[float], start: float, px: float) -> Axis:
    """With room on both sides of all values."""
    low, high = min(values), max(values)
    room = 0.07 * (high - low) or 0.5
    return Axis(low - room, high + room, start, px)


def tick_step(span: float, ticks: int = 4) -> float:
    """1, 2 or 5 times a power of ten, so that a span has about so many ticks.

    >>> tick_step(37), tick_step(0.9), tick_step(7e8)
    (10.0, 0.2, 200000000.0)
    """
    power = 10.0 ** math.floor(math.log10(span / ticks))
    return next(size * power for size in (1, 2, 5, 10) if span / (size * power) <= ticks + 1)


def svg(sheet: Sheet) -> str:
    """The picture: curves by epoch where the sheet has them, else a panel for each of the paper's columns."""
    curves = [(row.label, row.curve) for row in sheet.rows if row.curve]
    width, height, body = _curves(curves) if curves else _panels(sheet)
    head = list(_head(sheet, width))
    top = 24 + 18 * len(head)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height + top:g}" '
        f'width="{width:g}" height="{height + top:g}" font-family="system-ui, sans-serif" font-size="12" '
        f'fill="{_INK}" role="img" aria-label={quoteattr(sheet.title)}>',
        f'<rect width="{width:g}" height="{height + top:g}" fill="#ffffff"/>',
        *head,
        f'<g transform="translate(0 {top})">',
        *body,
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _head(sheet: Sheet, width: float) -> Iterator[str]:
    yield f'<text x="12" y="22" font-size="15" font-weight="600">{escape(sheet.title)}</text>'
    for i, line in enumerate(textwrap.wrap(sheet.warning, int((width - 24) / (1.15 * _CHARACTER_PX)))):
        yield f'<text x="12" y="{42 + 18 * i}" fill="#b91c1c" font-weight="700">{escape(line)}</text>'


# --- panels --------------------------------------------------------------------------------------


def _panels(sheet: Sheet) -> tuple[float, float, list[str]]:
    columns = [column for column in sheet.columns if column.paper] or list(sheet.columns[:3])
    shown = [column for column in columns if _values(sheet.rows, column)]
    width = _LABEL_PX + max(1, len(shown)) * (_PANEL_PX + _GAP_PX)
    bottom = 26 + _ROW_PX * len(sheet.rows)
    body = list(_labels(sheet.rows))
    for i, column in enumerate(shown):
        x = _LABEL_PX + i * (_PANEL_PX + _GAP_PX)
        body += _panel(sheet.rows, column, axis(_values(sheet.rows, column), x, _PANEL_PX), bottom)
    spread = any(row.cells.get(column.key, Cell()).interval for row in sheet.rows for column in shown)
    body += _legend(bottom + 38, spread=spread)
    return width, bottom + 60, body


def _labels(rows: Sequence[SheetRow]) -> Iterator[str]:
    for i, row in enumerate(rows):
        faint = "" if row.status in ("ran", "counted") else ' fill="#6b7280"'
        y = _row_y(i) + 4
        yield f'<text x="{_LABEL_PX - 12}" y="{y:g}" text-anchor="end"{faint}>{escape(row.label)}</text>'


def _panel(rows: Sequence[SheetRow], column: Column, x: Axis, bottom: float) -> Iterator[str]:
    middle = x.start + x.px / 2
    heading = escape(column.heading)
    yield f'<text x="{middle:g}" y="10" text-anchor="middle" font-weight="600">{heading}</text>'
    frame = f'x="{x.start:g}" y="18" width="{x.px:g}" height="{bottom - 18:g}"'
    yield f'<rect {frame} fill="none" stroke="{_GRID}"/>'
    for tick in x.ticks():
        at = x.at(tick)
        yield f'<line x1="{at:.1f}" x2="{at:.1f}" y1="18" y2="{bottom:g}" stroke="{_GRID}"/>'
        yield f'<text x="{at:.1f}" y="{bottom + 14:g}" text-anchor="middle">{_tick(tick)}</text>'
    for i, row in enumerate(rows):
        yield from _marks(row.cells.get(column.key, Cell()), x, _row_y(i), f"{row.label}, {column.heading}")


def _marks(cell: Cell, x: Axis, y: float, what: str) -> Iterator[str]:
    if cell.interval is not None:
        low, high = cell.interval
        yield _bar(x.at(low), x.at(high), y)
    if cell.ours is not None:
        told = escape(f"{what}, ours: {cell.ours:,.6g}")
        at = x.at(cell.ours)
        yield f'<circle cx="{at:.1f}" cy="{y:g}" r="4" fill="{_OURS}"><title>{told}</title></circle>'
    if cell.paper is not None:
        told = escape(f"{what}, paper: {cell.paper:,.10g}")
        yield f'<path d="{_diamond(x.at(cell.paper), y)}" {_OPEN}><title>{told}</title></path>'


_OPEN = f'fill="none" stroke="{_PAPER}" stroke-width="1.8"'


def _bar(x1: float, x2: float, y: float) -> str:
    return f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y:g}" y2="{y:g}" stroke="{_OURS}" stroke-width="2"/>'


def _diamond(x: float, y: float) -> str:
    return f"M{x:.1f} {y - 6:g}l6 6l-6 6l-6 -6z"


def _legend(y: float, *, spread: bool) -> Iterator[str]:
    x = _LABEL_PX
    yield f'<path d="{_diamond(x + 6, y)}" {_OPEN}/><text x="{x + 18}" y="{y + 4:g}">paper</text>'
    if spread:
        yield _bar(x + 72, x + 98, y)
    yield f'<circle cx="{x + 85}" cy="{y:g}" r="4" fill="{_OURS}"/>'
    told = "ours, 95 % interval" if spread else "ours"
    yield f'<text x="{x + 106}" y="{y + 4:g}">{told}</text>'


def _row_y(i: int) -> float:
    return 30 + _ROW_PX * i


def _values(rows: Sequence[SheetRow], column: Column) -> list[float]:
    """Everything that must be seen."""
    cells = [row.cells.get(column.key, Cell()) for row in rows]
    found = [value for cell in cells for value in (cell.paper, cell.ours, *(cell.interval or ()))]
    return [value for value in found if value is not None]


def _tick(value: float) -> str:
    """
    >>> _tick(85.0), _tick(0.25), _tick(640000000.0), _tick(-0.0)
    ('85', '0.25', '640 M', '0')
    """
    return f"{value / 1e6:g} M" if abs(value) >= 1e6 else f"{round(value, 6) + 0.0:g}"


# --- curves --------------------------------------------------------------------------------------


def _curves(curves: Sequence[tuple[str, Curve]]) -> tuple[float, float, list[str]]:
    width, height = _CURVES_PX
    points = [point for _, curve in curves for point in curve]
    x = axis([epoch for epoch, _ in points], 60, width - 80)
    y = axis([PER_CENT * dice for _, dice in points], height - 40, 60 - height)
    body = list(_frame(x, y, width, height))
    for i, (label, curve) in enumerate(curves):
        colour, dash = _COLOURS[i % len(_COLOURS)], _DASHES[i % len(_DASHES)]
        look = f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        path = " ".join(f"{x.at(epoch):.1f},{y.at(PER_CENT * dice):.1f}" for epoch, dice in curve)
        line_y = height + 14 + 20 * i
        body.append(f'<polyline points="{path}" fill="none" {look}/>')
        body.append(f'<line x1="60" x2="96" y1="{line_y}" y2="{line_y}" {look}/>')
        best = max(dice for _, dice in curve)
        told = escape(f"{label}: best {PER_CENT * best:.2f}")
        body.append(f'<text x="104" y="{line_y + 4}">{told}</text>')
    return width, height + 20 * len(curves) + 16, body


def _frame(x: Axis, y: Axis, width: float, height: float) -> Iterator[str]:
    for tick in y.ticks():
        at = y.at(tick)
        yield f'<line x1="60" x2="{width - 20}" y1="{at:.1f}" y2="{at:.1f}" stroke="{_GRID}"/>'
        yield f'<text x="52" y="{at + 4:.1f}" text-anchor="end">{_tick(tick)}</text>'
    for tick in filter(float.is_integer, x.ticks()):
        at = x.at(tick)
        yield f'<line x1="{at:.1f}" x2="{at:.1f}" y1="20" y2="{height - 40}" stroke="{_GRID}"/>'
        yield f'<text x="{at:.1f}" y="{height - 24}" text-anchor="middle">{_tick(tick)}</text>'
    yield f'<text x="{width / 2:g}" y="{height - 6}" text-anchor="middle">epoch</text>'
    yield '<text x="60" y="10">Dice of the validation images, %</text>'
