"""Curves as one SVG: a colour and a name at the end for each term, validation dashed, its best ringed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from sac_wsi.train.report.axis import Axis, step_axis
from sac_wsi.train.report.curves import Curve, drawable
from sac_wsi.train.report.markup import Markup, tag

COLOURS = 8
_WIDTH, _HEIGHT = 540, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 440, 14, 290
_LABEL_STEP = 16

Place = Callable[[float, float], tuple[float, float]]


def chart(
    title: str,
    y_label: str,
    curves: Sequence[Curve],
    y_axis_of: Callable[[Sequence[float]], Axis],
    better: Callable[[Iterable[float]], float],
) -> Markup:
    """A figure with its legend, or a sentence where there is nothing to draw; ``better``: min or max."""
    shown = [curve for curve in curves if curve.points()]
    if not shown:
        return tag("div", tag("h3", title), tag("p", "No value was logged.", class_="note"))
    x_axis = step_axis([step for curve in shown for step, _ in curve.points()])
    y_axis = y_axis_of([value for curve in shown for _, value in curve.points()])

    def place(step: float, value: float) -> tuple[float, float]:
        return (
            round(_LEFT + x_axis.part(step) * (_RIGHT - _LEFT), 1),
            round(_BOTTOM - y_axis.part(value) * (_BOTTOM - _TOP), 1),
        )

    names = list(dict.fromkeys(curve.name for curve in shown))
    best = {curve.name: _best(curve, better) for curve in shown if curve.kind == "validation"}
    drawing = tag(
        "svg",
        *_axes(x_axis, y_axis, y_label + ", logarithmic" * y_axis.log, place),
        *(_line(curve, names.index(curve.name), place) for curve in shown),
        *(_ring(names.index(name), *place(*point)) for name, point in best.items()),
        *_names(shown, names, place),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=f"{title}: {', '.join(names)} against the training step",
    )
    caption = tag("figcaption", *_legend(shown, best))
    return tag(
        "div", tag("h3", title), tag("figure", tag("div", drawing, class_="wide"), caption), class_="chart"
    )


def _best(curve: Curve, better: Callable[[Iterable[float]], float]) -> tuple[int, float]:
    """The first point of the best value."""
    value = better(value for _, value in curve.points())
    return next(point for point in curve.points() if point[1] == value)


def _axes(x_axis: Axis, y_axis: Axis, y_label: str, place: Place) -> Iterable[Markup]:
    for tick in y_axis.ticks:
        _, y = place(x_axis.low, tick)
        yield tag("path", d=f"M{_LEFT} {y}H{_RIGHT}", class_="grid")
        yield _text(f"{tick:g}", _LEFT - 8, y + 4, "end")
    for tick in x_axis.ticks:
        x, _ = place(tick, y_axis.low)
        yield tag("path", d=f"M{x} {_BOTTOM}v5", class_="axis")
        yield _text(f"{tick:,.0f}", x, _BOTTOM + 20, "middle")
    yield tag("path", d=f"M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}", class_="axis")
    yield _text("step", (_LEFT + _RIGHT) / 2, _HEIGHT - 8, "middle")
    middle = (_TOP + _BOTTOM) / 2
    yield _text(y_label, 14, middle, "middle", transform=f"rotate(-90 14 {middle})")


def _line(curve: Curve, index: int, place: Place) -> Markup:
    """Broken where a value is no number; a point alone is a dot, by its round end."""
    runs = groupby(zip(curve.steps, curve.values, strict=True), lambda point: drawable(point[1]))
    spots = [[place(*point) for point in run] for good, run in runs if good]
    d = "".join("M" + "L".join(f"{x} {y}" for x, y in run) + ("h0" if len(run) == 1 else "") for run in spots)
    return tag(
        "path",
        tag("title", f"{curve.name}, {curve.kind}"),
        d=d,
        class_=f"line {curve.kind} c{index % COLOURS}",
    )


def _ring(index: int, x: float, y: float) -> Markup:
    return tag("circle", cx=x, cy=y, r=5, class_=f"ring c{index % COLOURS}")


def _names(shown: Sequence[Curve], names: Sequence[str], place: Place) -> Iterable[Markup]:
    """Each term's name right of where its line ends, moved apart where they would overlap."""
    ends = {curve.name: place(*curve.points()[-1]) for curve in shown}
    ordered = sorted(ends, key=lambda name: ends[name][1])
    for name, y in zip(ordered, _apart([ends[name][1] for name in ordered]), strict=True):
        x_end, y_end = ends[name]
        yield tag("path", d=f"M{x_end + 4} {y_end}L{_RIGHT + 14} {y}", class_="leader")
        yield _text(name, _RIGHT + 18, y + 4, "start", class_=f"name c{names.index(name) % COLOURS}")


def _apart(places: Sequence[float]) -> list[float]:
    """Ascending places at least a label apart, above the bottom where there is room.

    >>> _apart([20, 21, 100])
    [20, 36, 100]
    """
    moved = list(places)
    for i, _ in enumerate(moved[1:], 1):
        moved[i] = max(moved[i], moved[i - 1] + _LABEL_STEP)
    limit = float(_BOTTOM)
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], limit)
        limit = moved[i] - _LABEL_STEP
    return moved


def _legend(shown: Sequence[Curve], best: dict[str, tuple[int, float]]) -> Iterable[Markup]:
    for kind in dict.fromkeys(curve.kind for curve in shown):
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
        told = ", ".join(f"{name} {value:.4g} at step {step:,}" for name, (step, value) in best.items())
        yield tag("span", ring, f"best of validation: {told}")


def _text(text: str, x: float, y: float, anchor: str, **more: object) -> Markup:
    return tag("text", text, x=x, y=round(y, 1), text_anchor=anchor, **more)
