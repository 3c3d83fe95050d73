"""Lines over a common x axis. Each name has a colour and stands where its line ends.

Shapes have colours of their own and classes besides, so that a page's style can replace the colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from markupsafe import Markup

from sac_wsi.charts.axis import Axis, format_tick
from sac_wsi.charts.markup import tag, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

COLOURS = ("#0072b2", "#d55e00", "#00835f", "#b0508f", "#8a6d00", "#3f8fc4", "#7a4b2a", "#55555a")
_LARGEST = 1e30
_LABEL_STEP_PX = 16
_GRID, _AXIS = "#e5e7eb", "#6b7280"


@dataclass(frozen=True)
class Series:
    """One line; x ascends. ``kind`` is a CSS class and in the title; lines of kind validation are dashed."""

    name: str
    kind: str
    x: tuple[float, ...]
    y: tuple[float, ...]

    @property
    def points(self) -> list[tuple[float, float]]:
        """The points that can be drawn."""
        return [point for point in zip(self.x, self.y, strict=True) if is_drawable(point[1])]


@dataclass(frozen=True)
class Frame:
    """Where the axes are in the drawing, in pixels. Names stand to the right of ``right``."""

    width: int = 540
    height: int = 340
    left: int = 60
    right: int = 440
    top: int = 14
    bottom: int = 290


@dataclass(frozen=True)
class Axes:
    """Both axes with their labels, in a frame."""

    x: Axis
    y: Axis
    x_label: str
    y_label: str
    frame: Frame = Frame()

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return the pixel of a point."""
        frame = self.frame
        return (
            round(frame.left + self.x.part(x) * (frame.right - frame.left), 1),
            round(frame.bottom - self.y.part(y) * (frame.bottom - frame.top), 1),
        )


def is_drawable(value: float) -> bool:
    """Return whether an axis can show the value: not NaN, infinite or extremely large."""
    return abs(value) < _LARGEST  # false for NaN, too


def line_chart(
    series: Sequence[Series], axes: Axes, rings: Mapping[str, tuple[float, float]] | None = None
) -> Markup:
    """Draw the series, which all have a point to draw; ``rings`` marks a point of a name."""
    names = list(dict.fromkeys(each.name for each in series))
    colour = {name: i % len(COLOURS) for i, name in enumerate(names)}
    return Markup("").join(
        [
            *_axes(axes),
            *(_line(each, colour[each.name], axes) for each in series),
            *(_ring(colour[name], *axes.place(*point)) for name, point in (rings or {}).items()),
            *_names(series, colour, axes),
        ]
    )


def _axes(axes: Axes) -> Iterator[Markup]:
    frame = axes.frame
    for tick in axes.y.ticks:
        _, y = axes.place(axes.x.low, tick)
        yield tag("path", d=f"M{frame.left} {y}H{frame.right}", class_="grid", stroke=_GRID)
        yield text(format_tick(tick), frame.left - 8, y + 4, "end")
    for tick in axes.x.ticks:
        x, _ = axes.place(tick, axes.y.low)
        yield tag("path", d=f"M{x} {frame.bottom}v5", class_="axis", stroke=_AXIS)
        yield text(format_tick(tick), x, frame.bottom + 20, "middle")
    corner = f"M{frame.left} {frame.top}V{frame.bottom}H{frame.right}"
    yield tag("path", d=corner, class_="axis", stroke=_AXIS, fill="none")
    yield text(axes.x_label, (frame.left + frame.right) / 2, frame.height - 8, "middle")
    middle = (frame.top + frame.bottom) / 2
    yield text(axes.y_label, 14, middle, "middle", transform=f"rotate(-90 14 {middle})")


def _line(series: Series, colour: int, axes: Axes) -> Markup:
    """Draw a line, interrupted where a value cannot be drawn. A single point is a dot, by its round end."""
    runs = groupby(zip(series.x, series.y, strict=True), lambda point: is_drawable(point[1]))
    spots = [[axes.place(*point) for point in run] for good, run in runs if good]
    d = "".join("M" + "L".join(f"{x} {y}" for x, y in run) + ("h0" if len(run) == 1 else "") for run in spots)
    return tag(
        "path",
        tag("title", ", ".join(filter(None, (series.name, series.kind)))),
        d=d,
        class_=f"line {series.kind} c{colour}",
        fill="none",
        stroke=COLOURS[colour],
        stroke_width=2,
        stroke_linecap="round",
        **({"stroke_dasharray": "6 5"} if series.kind == "validation" else {}),
    )


def _ring(colour: int, x: float, y: float) -> Markup:
    return tag("circle", cx=x, cy=y, r=5, class_=f"ring c{colour}", fill="none", stroke=COLOURS[colour])


def _names(series: Sequence[Series], colour: Mapping[str, int], axes: Axes) -> Iterator[Markup]:
    """Draw each name to the right of its line's end, moved where names would overlap."""
    ends = {each.name: axes.place(*each.points[-1]) for each in series}
    ordered = sorted(ends, key=lambda name: ends[name][1])
    right, bottom = axes.frame.right, axes.frame.bottom
    for name, y in zip(ordered, _spaced([ends[name][1] for name in ordered], bottom), strict=True):
        x_end, y_end = ends[name]
        yield tag("path", d=f"M{x_end + 4} {y_end}L{right + 14} {y}", class_="leader", stroke=_AXIS)
        yield text(name, right + 18, y + 4, class_=f"name c{colour[name]}", fill=COLOURS[colour[name]])


def _spaced(places: Sequence[float], bottom: float) -> list[float]:
    """Return ascending places at least one label apart, above ``bottom`` if there is room.

    >>> _spaced([20, 21, 100], 290)
    [20, 36, 100]
    """
    moved = list(places)
    for i, _ in enumerate(moved[1:], 1):
        moved[i] = max(moved[i], moved[i - 1] + _LABEL_STEP_PX)
    limit = float(bottom)
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], limit)
        limit = moved[i] - _LABEL_STEP_PX
    return moved
