"""A figure of training curves: validation dashed, the best value ringed, a legend below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sac_wsi.charts.axis import Axis, step_axis
from sac_wsi.charts.line_chart import Axes, Series, line_chart
from sac_wsi.charts.markup import tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from markupsafe import Markup

    from sac_wsi.train.report.curves import Curve


def chart(
    title: str,
    y_label: str,
    curves: Sequence[Curve],
    y_axis_of: Callable[[Sequence[float]], Axis],
    better: Callable[[Iterable[float]], float],
) -> Markup:
    """Return the figure with its legend, or a sentence if there is nothing to draw.

    ``y_axis_of`` makes the axis from all values; ``better`` is ``min`` for losses and ``max`` for scores.
    """
    series = [Series(curve.name, curve.kind, curve.steps, curve.values) for curve in curves if curve.points()]
    if not series:
        return tag("div", tag("h3", title), tag("p", "No value was logged.", class_="note"))
    y_axis = y_axis_of([y for each in series for _, y in each.points])
    axes = Axes(
        step_axis([x for each in series for x, _ in each.points]),
        y_axis,
        "step",
        y_label + ", logarithmic" * y_axis.log,
    )
    best = {each.name: _best(each, better) for each in series if each.kind == "validation"}
    names = ", ".join(dict.fromkeys(each.name for each in series))
    drawing = tag(
        "svg",
        line_chart(series, axes, best),
        viewBox=f"0 0 {axes.frame.width} {axes.frame.height}",
        role="img",
        aria_label=f"{title}: {names} against the training step",
    )
    caption = tag("figcaption", *_legend(series, best))
    return tag(
        "div", tag("h3", title), tag("figure", tag("div", drawing, class_="wide"), caption), class_="chart"
    )


def _best(series: Series, better: Callable[[Iterable[float]], float]) -> tuple[float, float]:
    """Return the first point with the best value."""
    value = better(value for _, value in series.points)
    return next(point for point in series.points if point[1] == value)


def _legend(series: Sequence[Series], best: Mapping[str, tuple[float, float]]) -> Iterable[Markup]:
    for kind in dict.fromkeys(each.kind for each in series):
        sample = tag("path", d="M2 6H38", class_=f"line {kind}")
        yield tag("span", tag("svg", sample, viewBox="0 0 40 12", class_="key", aria_hidden="true"), kind)
    if best:
        ring = tag(
            "svg",
            tag("circle", cx=7, cy=7, r=5, class_="ring"),
            viewBox="0 0 14 14",
            class_="dot",
            aria_hidden="true",
        )
        values = ", ".join(f"{name} {value:.4g} at step {step:,}" for name, (step, value) in best.items())
        yield tag("span", ring, f"best of validation: {values}")
