"""A table of results as an SVG file: curves by epoch, or the scores of each row."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from sac_wsi.charts.axis import padded_axis, step_axis
from sac_wsi.charts.dot_plot import DotRow, Mark, dot_plot
from sac_wsi.charts.line_chart import Axes, Frame, Series, line_chart
from sac_wsi.charts.markup import standalone_svg
from sac_wsi.reproduce.sheet import PER_CENT

if TYPE_CHECKING:
    from markupsafe import Markup

    from sac_wsi.reproduce.sheet import Sheet

_FRAME = Frame(width=700, height=380, right=500, top=20, bottom=330)
_CHARACTER_PX = 7.6


def svg(sheet: Sheet) -> str:
    """Return the picture: curves by epoch if there are any, else a panel for each of the paper's columns."""
    size_xy, body = _curves(sheet) if any(row.curve for row in sheet.rows) else _scores(sheet)
    warning = textwrap.wrap(sheet.warning, int((size_xy[0] - 24) / _CHARACTER_PX))
    return standalone_svg(sheet.title, warning, size_xy, body)


def _scores(sheet: Sheet) -> tuple[tuple[float, float], Markup]:
    columns = [column for column in sheet.columns if column.paper] or list(sheet.columns[:3])
    rows = [
        DotRow(
            row.label,
            {key: Mark(cell.paper, cell.ours, cell.interval) for key, cell in row.cells.items()},
            faint=row.status not in ("ran", "counted"),
        )
        for row in sheet.rows
    ]
    return dot_plot(rows, {column.key: column.heading for column in columns})


def _curves(sheet: Sheet) -> tuple[tuple[float, float], Markup]:
    series = []
    for row in sheet.rows:
        if row.curve:
            epochs, dice = zip(*((epoch, PER_CENT * dice) for epoch, dice in row.curve), strict=True)
            series.append(Series(f"{row.label}: best {max(dice):.2f}", "", epochs, dice))
    axes = Axes(
        step_axis([x for each in series for x in each.x]),
        padded_axis([y for each in series for y in each.y]),
        "epoch",
        "Dice of the validation images, %",
        _FRAME,
    )
    return (_FRAME.width, _FRAME.height), line_chart(series, axes)
