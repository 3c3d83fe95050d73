import base64
import io
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from sac_wsi.evaluate.metrics import score_image, summarise
from sac_wsi.evaluate.score_images import ScoredImage
from sac_wsi.train.report import Curve, curves_of, write_report
from sac_wsi.train.report.curves import losses_and_scores
from sac_wsi.train.report.pictures import FOUND_RGB, LONGEST_PX, TRUTH_RGB, best_and_worst, outlined

VOID = {"meta", "img"}
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Page(HTMLParser):
    """Every element with its attributes and its text; fails where tags do not balance."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "text": "", **dict(attrs)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag, class_=None):
        return [e for e in self.elements if e["tag"] == tag and class_ in (None, *e.get("class", "").split())]

    def texts(self, tag, class_=None):
        return [element["text"] for element in self.all(tag, class_)]


@pytest.fixture
def report(tmp_path):
    """Writes a report and returns it parsed; ``text`` is its source."""

    def write(**changed):
        contents = {"title": "Training", "facts": {}, "curves": (), "scores": None, "images": (), **changed}
        write_report(tmp_path / "report.html", **contents)
        assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
        text = (tmp_path / "report.html").read_text(encoding="utf-8")
        page = Page(text)
        page.text = text
        return page

    return write


def square(side=60, corner=20, size=15):
    labels = np.zeros((side, side), np.int32)
    labels[corner : corner + size, corner : corner + size] = 7
    return labels


def image(name="a", corner=20, side=60):
    truth, found = square(side), square(side, corner)
    rgb = np.full((side, side, 3), 200, np.uint8)
    return ScoredImage(rgb, truth, found, score_image(truth, found, name=name))


def line(kind, step, **values):
    return json.dumps({"kind": kind, "step": step, "seconds": 1.0, "values": values}) + "\n"


FULL_LOG = [
    line("train", 10, maps=0.9, iou=0.02),
    line("validation", 10, loss=1.0, loss_maps=0.95, loss_iou=0.03, dice=0.4, iou=0.3, pq=0.2),
    line("train", 20, maps=0.5, iou=0.01),
    line("validation", 20, loss=0.6, loss_maps=0.55, loss_iou=0.02, dice=0.8, iou=0.6, pq=0.5),
    line("train", 30, maps=0.3, iou=0.01),
    line("validation", 30, loss=0.7, loss_maps=0.65, loss_iou=0.02, dice=0.7, iou=0.5, pq=0.4),
]


def test_a_step_logged_again_after_a_resume_counts_once_as_it_was_last():
    log = [line("train", 10, maps=3), line("train", 20, maps=2), line("train", 30, maps=9)]
    log += [line("train", 20, maps=2.5), line("train", 30, maps=1)]
    assert curves_of(log) == (Curve("maps", "train", (10, 20, 30), (3, 2.5, 1)),)


@pytest.mark.parametrize(
    "cut", ["{", '{"kind": "train", "step": 30', "", "\n", '{"kind": {"kind": "train"}\n']
)
def test_a_line_cut_short_is_left_out(cut):
    assert curves_of([line("train", 10, maps=3), cut]) == (Curve("maps", "train", (10,), (3.0,)),)


def test_terms_may_come_and_go_and_other_events_are_no_curve():
    log = [line("train", 10, maps=3), line("start", 0, gpus=1), line("train", 20, maps=2, instance=1)]
    assert curves_of(log) == (
        Curve("maps", "train", (10, 20), (3, 2)),
        Curve("instance", "train", (20,), (1,)),
    )


def test_the_iou_of_training_is_a_loss_and_that_of_validation_a_score():
    losses, scores = losses_and_scores(curves_of(FULL_LOG))
    assert [(curve.name, curve.kind) for curve in losses] == [
        ("maps", "train"),
        ("iou", "train"),
        ("loss", "validation"),
        ("maps", "validation"),
        ("iou", "validation"),
    ]
    assert [curve.name for curve in scores] == ["dice", "iou", "pq"]


def test_the_page_loads_nothing_and_says_so(report):
    some = [image()]
    page = report(curves=curves_of(FULL_LOG), images=some, scores=summarise([i.scores for i in some]))
    assert f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">' in page.text
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<script|<link|\son\w+=", page.text)
    assert all(i["src"].startswith("data:image/jpeg;base64,") for i in page.all("img"))
    assert len({e["tag"] for e in page.elements} & {"script", "link", "iframe", "object"}) == 0


def test_charts_show_terms_kinds_and_the_best_of_validation(report):
    page = report(curves=curves_of(FULL_LOG))
    losses, scores = page.all("figure")
    assert "maps 0.55 at step 20" in losses["text"]
    assert "pq 0.5 at step 20" in scores["text"]
    assert len(page.all("circle", "ring")) == 3 + 3 + 2  # of each validation curve, and two legends
    assert len(page.all("path", "train")) == 2 + 1
    assert {"loss, logarithmic", "score", "step", "20", "0.2"} <= set(page.texts("text"))
    assert {"maps", "iou", "dice", "pq"} <= set(page.texts("text", "name"))


def test_lines_stay_within_the_chart(report):
    page = report(curves=curves_of(FULL_LOG))
    for path in page.all("path", "line"):
        xy = np.array(re.findall(r"-?[\d.]+", path["d"].replace("h0", "")), float)
        assert (xy >= 0).all()
        assert (xy <= 540).all()


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 1e300, None])
def test_a_value_that_is_no_number_breaks_the_line_and_not_the_chart(report, odd):
    log = [line("train", step, maps=value) for step, value in enumerate([1.0, 0.9, odd, 0.5, odd])]
    page = report(curves=curves_of(log))
    (drawn,) = [path["d"] for path in page.all("path", "line") if "M2 6H38" not in path["d"]]
    assert drawn.count("M") == 2
    assert drawn.endswith("h0")
    assert not re.search("nan|inf", " ".join(path["d"] for path in page.all("path")))


@pytest.mark.parametrize(
    "curves",
    [
        (),
        (Curve("maps", "train", (), ()),),
        (Curve("maps", "train", (1, 2), (math.nan, math.inf)),),
    ],
)
def test_without_values_there_is_a_sentence_instead_of_a_chart(report, curves):
    page = report(curves=curves)
    assert page.texts("p", "note") == ["No value was logged."] * 2 + ["No image was scored."]
    assert page.all("svg") == []


def test_the_table_has_every_measure_with_its_interval(report):
    some = [image("a", 20), image("b", 24), image("c", 40)]
    scores = summarise([i.scores for i in some])
    rows = report(scores=scores).texts("tr")
    pq = scores.intervals["pq"]
    assert len(rows) == 1 + 9
    assert f"PQnuclei{scores.mean['pq']:.3f}{pq.low:.3f} to {pq.high:.3f}" in rows
    assert any(row.endswith(f"images together{scores.f1_pooled:.3f}0.000 to 1.000") for row in rows)


def test_one_image_has_scores_and_no_intervals(report):
    rows = report(scores=summarise([image().scores])).texts("tr")
    assert "PQnuclei1.000–" in rows


def test_names_and_facts_are_text_and_never_markup(report):
    evil = '<script>alert("1")</script>&amp;\'><img src=x>'
    some = [image(evil)]
    curves = [Curve(evil, "train", (1, 2), (1.0, 2.0)), Curve(evil, "validation", (1, 2), (1.0, 2.0))]
    page = report(
        title=evil, facts={evil: evil}, curves=curves, images=some, scores=summarise([some[0].scores])
    )
    assert len(page.all("img")) == 1
    assert page.all("img")[0]["alt"].startswith(evil)
    assert page.all("script") == []
    for tag in ("title", "h1", "b", "td"):
        assert evil in page.texts(tag)
    assert evil in page.texts("text", "name")


def test_a_name_that_is_not_utf8_does_not_cost_the_report(report):
    assert report(facts={"Data": "folder\udcff"}).texts("td") == ["folder?"]


@pytest.mark.parametrize("count", range(9))
def test_no_image_is_shown_twice(count):
    made = [image(str(i)) for i in range(count)]
    some = [replace(one, scores=replace(one.scores, pq=1 - i / 10)) for i, one in enumerate(made)]
    best, worst = best_and_worst(some)
    shown = [i.name for i in best + worst]
    assert len(shown) == len(set(shown)) == min(count, 6)
    assert [i.name for i in best] == [str(i) for i in range(len(best))]
    assert [i.name for i in worst] == [str(count - 1 - i) for i in range(len(worst))]


def test_a_picture_has_an_alternative_text_a_caption_and_a_legend(report):
    page = report(images=[image("a"), image("b", 24)])
    assert page.texts("h3")[-2:] == ["Best by PQ", "Worst by PQ"]
    assert [i["alt"] for i in page.all("img")] == [
        "a: outlines of 1 nuclei in the truth, 1 found. PQ 1.000.",
        "b: outlines of 1 nuclei in the truth, 1 found. PQ 0.000.",
    ]
    assert page.texts("p", "legend") == ["truth: yellow, widefound: blue, thin"]


@pytest.mark.parametrize(("side", "shown"), [(1500, 700), (700, 700), (350, 700), (10, 40)])
def test_a_picture_is_no_larger_than_the_report_allows(report, side, shown):
    page = report(images=[image("a", side=side)])
    data = base64.b64decode(page.all("img")[0]["src"].partition(",")[2])
    assert Image.open(io.BytesIO(data)).size == (shown, shown)
    assert shown <= LONGEST_PX
    assert ("the middle 700 px" in page.text) == (side > LONGEST_PX)


def test_a_narrow_strip_is_drawn():
    labels = np.ones((1, 5000), np.uint16)
    strip = ScoredImage(np.zeros((1, 5000, 3), np.uint8), labels, labels, score_image(labels, labels))
    assert outlined(strip).shape == (1, 700, 3)


def test_both_outlines_are_seen_where_they_run_together():
    drawn = outlined(image())
    assert (drawn == TRUTH_RGB).all(axis=2).sum() > 100
    assert (drawn == FOUND_RGB).all(axis=2).sum() > 100
    assert (drawn[0, 0] == 200).all()
