"""One row per result, one panel per score. Open marks are the paper's numbers, filled marks are ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from sac_wsi.charts.axis import Axis, format_tick, padded_axis
from sac_wsi.charts.markup import tag, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LABEL_PX, _PANEL_PX, _GAP_PX, _ROW_PX = 250, 220, 30, 22
_PAPER, _OURS, _GRID, _FAINT = "#c2410c", "#1d4ed8", "#e5e7eb", "#6b7280"


@dataclass(frozen=True)
class Mark:
    """The paper's number, ours, and the interval of ours, where there are any."""

    paper: float | None = None
    ours: float | None = None
    interval: tuple[float, float] | None = None

    @property
    def values(self) -> list[float]:
        """All numbers that the axis must hold."""
        return [v for v in (self.paper, self.ours, *(self.interval or ())) if v is not None]


@dataclass(frozen=True)
class DotRow:
    """A row with its mark in each panel; ``faint``: it has no result of ours."""

    label: str
    marks: Mapping[str, Mark]
    faint: bool = False


def dot_plot(rows: Sequence[DotRow], panels: Mapping[str, str]) -> tuple[tuple[float, float], Markup]:
    """Draw the rows.

    Args:
        rows: The rows, from top to bottom.
        panels: Key of the marks and heading of each panel. Panels without any number are left out.

    Returns:
        The (width, height) of the drawing in pixels, and the drawing.
    """
    axes = {}
    for key in panels:
        if values := [value for row in rows for value in _mark(row, key).values]:
            axes[key] = padded_axis(values)
    width = _LABEL_PX + max(1, len(axes)) * (_PANEL_PX + _GAP_PX)
    bottom = 26 + _ROW_PX * len(rows)
    body = list(_labels(rows))
    for i, (key, axis) in enumerate(axes.items()):
        body += _panel(rows, key, panels[key], axis, _LABEL_PX + i * (_PANEL_PX + _GAP_PX))
    has_interval = any(_mark(row, key).interval for row in rows for key in axes)
    body += _legend(bottom + 38, has_interval=has_interval)
    return (width, bottom + 60), Markup("").join(body)


def _mark(row: DotRow, key: str) -> Mark:
    return row.marks.get(key, Mark())


def _labels(rows: Sequence[DotRow]) -> Iterator[Markup]:
    for i, row in enumerate(rows):
        yield text(row.label, _LABEL_PX - 12, _row_y(i) + 4, "end", **({"fill": _FAINT} if row.faint else {}))


def _panel(rows: Sequence[DotRow], key: str, heading: str, axis: Axis, left: float) -> Iterator[Markup]:
    bottom = 26 + _ROW_PX * len(rows)
    yield text(heading, left + _PANEL_PX / 2, 10, "middle", font_weight=600)
    yield tag("rect", x=left, y=18, width=_PANEL_PX, height=bottom - 18, fill="none", stroke=_GRID)
    for tick in axis.ticks:
        x = _x(axis, tick, left)
        yield tag("line", x1=x, x2=x, y1=18, y2=bottom, stroke=_GRID)
        yield text(format_tick(tick), x, bottom + 14, "middle")
    for i, row in enumerate(rows):
        yield from _marks(_mark(row, key), axis, left, _row_y(i), f"{row.label}, {heading}")


def _marks(mark: Mark, axis: Axis, left: float, y: float, what: str) -> Iterator[Markup]:
    if mark.interval is not None:
        low, high = mark.interval
        yield _bar(_x(axis, low, left), _x(axis, high, left), y)
    if mark.ours is not None:
        title = tag("title", f"{what}, ours: {mark.ours:,.6g}")
        yield tag("circle", title, cx=_x(axis, mark.ours, left), cy=y, r=4, fill=_OURS)
    if mark.paper is not None:
        yield _diamond(_x(axis, mark.paper, left), y, tag("title", f"{what}, paper: {mark.paper:,.10g}"))


def _x(axis: Axis, value: float, left: float) -> float:
    return round(left + _PANEL_PX * axis.part(value), 1)


def _bar(x1: float, x2: float, y: float) -> Markup:
    return tag("line", x1=x1, x2=x2, y1=y, y2=y, stroke=_OURS, stroke_width=2)


def _diamond(x: float, y: float, *title: Markup) -> Markup:
    d = f"M{x} {y - 6}l6 6l-6 6l-6 -6z"
    return tag("path", *title, d=d, fill="none", stroke=_PAPER, stroke_width=1.8)


def _legend(y: float, *, has_interval: bool) -> Iterator[Markup]:
    yield _diamond(_LABEL_PX + 6, y)
    yield text("paper", _LABEL_PX + 18, y + 4)
    if has_interval:
        yield _bar(_LABEL_PX + 72, _LABEL_PX + 98, y)
    yield tag("circle", cx=_LABEL_PX + 85, cy=y, r=4, fill=_OURS)
    yield text("ours, 95 % interval" if has_interval else "ours", _LABEL_PX + 106, y + 4)


def _row_y(i: int) -> int:
    return 30 + _ROW_PX * i
