"""A table of results as an SVG file: curves by epoch, or the scores of each row."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from sac_wsi.charts.axis import padded_axis, step_axis
from sac_wsi.charts.dot_plot import DotRow, Mark, dot_plot
from sac_wsi.charts.line_chart import Axes, Frame, Series, line_chart
from sac_wsi.charts.markup import standalone_svg
from sac_wsi.reproduce.result_table import PER_CENT

if TYPE_CHECKING:
    from markupsafe import Markup

    from sac_wsi.reproduce.result_table import ResultTable

_FRAME = Frame(width=700, height=380, right=500, top=20, bottom=330)
_CHARACTER_PX = 7.6


def svg(table: ResultTable) -> str:
    """Return the picture: curves by epoch if there are any, else a panel for each of the paper's columns."""
    size_xy, body = _curves(table) if any(row.curve for row in table.rows) else _scores(table)
    warning = textwrap.wrap(table.warning, int((size_xy[0] - 24) / _CHARACTER_PX))
    return standalone_svg(table.title, warning, size_xy, body)


def _scores(table: ResultTable) -> tuple[tuple[float, float], Markup]:
    columns = [column for column in table.columns if column.paper] or list(table.columns[:3])
    rows = [
        DotRow(
            row.label,
            {key: Mark(cell.paper, cell.ours, cell.interval) for key, cell in row.cells.items()},
            faint=row.status not in ("ran", "counted"),
        )
        for row in table.rows
    ]
    return dot_plot(rows, {column.key: column.heading for column in columns})


def _curves(table: ResultTable) -> tuple[tuple[float, float], Markup]:
    series = []
    for row in table.rows:
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
