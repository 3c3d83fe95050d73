"""Write the report page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from sac_wsi.charts.axis import loss_axis, score_axis
from sac_wsi.charts.line_chart import is_drawable
from sac_wsi.charts.markup import tag
from sac_wsi.files.atomic import anything, atomic_file
from sac_wsi.train.report.chart import chart
from sac_wsi.train.report.curves import Curve, losses_and_scores
from sac_wsi.train.report.pictures import FOUND_RGB, TRUTH_RGB, best_and_worst, figure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sac_wsi.evaluate.metrics import Interval, Scores
    from sac_wsi.evaluate.score_images import ScoredImage

_STYLE = Markup(Path(__file__).with_name("style.css").read_text(encoding="utf-8"))

_HEAD = Markup(
    '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; """
    """style-src 'unsafe-inline'">"""
)
_MEASURES = {
    "dice": ("Dice", "pixels"),
    "iou": ("IoU", "pixels"),
    "f1_pooled": ("F1", "pixels, all images together"),
    "aji": ("AJI", "nuclei"),
    "aji_plus": ("AJI+", "nuclei"),
    "pq": ("PQ", "nuclei"),
    "dq": ("DQ", "nuclei: how many were found"),
    "sq": ("SQ", "nuclei: how well those found fit"),
    "f1_det": ("F1 of detection", "nuclei"),
}


def write_report(
    path: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    curves: Sequence[Curve],
    scores: Scores | None,
    images: Sequence[ScoredImage],
) -> None:
    """Write one HTML file that loads no other file. It is written completely or not at all."""
    losses, scored = losses_and_scores(curves)
    body = tag(
        "main",
        tag("h1", title),
        tag("h2", "Learning"),
        tag(
            "div",
            chart("Losses", "loss", losses, loss_axis, min),
            chart("Validation scores", "score", scored, score_axis, max),
            class_="pair",
        ),
        tag("h2", "Scores"),
        *_score_table(scores),
        *_gallery(images),
        tag("h2", "Run"),
        _table(tag("tr", tag("th", name, scope="row"), tag("td", fact)) for name, fact in facts.items()),
    )
    head = tag("head", _HEAD, tag("title", title), tag("style", _STYLE))
    page = "<!DOCTYPE html>\n" + tag("html", head, tag("body", body), lang="en") + "\n"
    with atomic_file(path, anything) as file:  # in the folder of a run
        # write the report even if a file name is not valid UTF-8
        file.write(page.encode("utf-8", "replace"))


def _score_table(scores: Scores | None) -> Iterable[Markup]:
    if scores is None:
        yield tag("p", "No image was scored.", class_="note")
        return
    values = {**scores.mean, "f1_pooled": scores.f1_pooled}
    head = tag("tr", *(tag("th", name, scope="col") for name in ("Measure", "Of", "Mean", "95 % interval")))
    yield _table([head, *(_score_row(name, values[name], scores.intervals.get(name)) for name in _MEASURES)])
    missing = f" No prediction, scored as empty: {', '.join(scores.missing)}." if scores.missing else ""
    yield tag(
        "p", f"Of {len(scores.images):,} images; intervals by bootstrap over images.{missing}", class_="note"
    )


def _score_row(name: str, value: float, interval: Interval | None) -> Markup:
    label, of = _MEASURES[name]
    range_text = f"{_number(interval.low)} to {_number(interval.high)}" if interval else "–"
    numbers = (tag("td", text, class_="number") for text in (_number(value), range_text))
    return tag("tr", tag("th", label, scope="row"), tag("td", of), *numbers)


def _number(value: float) -> str:
    return f"{value:.3f}" if is_drawable(value) else "–"


def _gallery(images: Sequence[ScoredImage]) -> Iterable[Markup]:
    if images:
        yield tag("h2", "Images")
        swatches = (_swatch(TRUTH_RGB, 5, "truth: yellow, wide"), _swatch(FOUND_RGB, 2, "found: blue, thin"))
        yield tag("p", *swatches, class_="legend")
        best, worst = map(_column, ("Best by PQ", "Worst by PQ"), best_and_worst(images))
        yield tag("div", best, worst, class_="pair")


def _column(heading: str, images: Sequence[ScoredImage]) -> Markup:
    return tag("div", tag("h3", heading), *map(figure, images)) if images else Markup()


def _swatch(rgb: tuple[int, int, int], width: int, text: str) -> Markup:
    line = tag("path", d="M2 7H38", stroke=f"rgb{rgb}", stroke_width=width)
    return tag("span", tag("svg", line, viewBox="0 0 40 14", class_="key tissue", aria_hidden="true"), text)


def _table(rows: Iterable[Markup]) -> Markup:
    return tag("div", tag("table", tag("tbody", *rows)), class_="wide")
