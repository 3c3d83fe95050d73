import re
from xml.etree import ElementTree

import pytest

from sac_wsi.reproduce.inputs import Available
from sac_wsi.reproduce.plot import svg
from sac_wsi.reproduce.scale import SMALL_SCALE
from sac_wsi.reproduce.tables import TARGETS

SVG = "{http://www.w3.org/2000/svg}"


def parsed(table):
    return ElementTree.fromstring(svg(table))


def texts(root):
    return [element.text for element in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_has_a_picture_that_needs_nothing_else(table_of, name):
    table = table_of(name)
    text = svg(table)
    root = ElementTree.fromstring(text)
    assert table.title in texts(root)
    assert not re.search(r"href|url\(|@import|<script|<style|nan|inf\b", text)
    width, height = (float(root.get(name)) for name in ("width", "height"))
    for circle in root.iter(f"{SVG}circle"):
        assert 0 < float(circle.get("cx")) < width
        assert 0 < float(circle.get("cy")) < height
    assert svg(table) == text


def test_marks_lie_where_the_numbers_are(table_of):
    root = parsed(table_of("table6"))
    ours = [float(circle.get("cx")) for circle in root.iter(f"{SVG}circle")]
    paper = [
        float(path.get("d")[1:].split()[0])
        for path in root.iter(f"{SVG}path")
        if path.find(f"{SVG}title") is not None
    ]
    assert len(paper) == 9
    # the same numbers: each of the paper's marks has ours in it
    assert all(any(abs(a - b) < 0.2 for b in ours) for a in paper)


def test_the_interval_holds_its_mark(table_of):
    root = parsed(table_of("table1"))
    bars = [e for e in root.iter(f"{SVG}line") if e.get("stroke-width") == "2"]
    marks = {(float(e.get("cx")), e.get("cy")) for e in root.iter(f"{SVG}circle")}
    for bar in bars:
        held = [
            x for x, y in marks if y == bar.get("y1") and float(bar.get("x1")) <= x <= float(bar.get("x2"))
        ]
        assert held


def test_rows_that_did_not_run_have_the_papers_mark_alone(table_of):
    root = parsed(table_of("table7", available=Available()))
    # one circle is the legend's
    assert len(list(root.iter(f"{SVG}circle"))) == 1
    assert "ViT-B" in texts(root)


def test_figure_4_has_a_curve_for_each_model(table_of):
    root = parsed(table_of("figure4"))
    curves = [path for path in root.iter(f"{SVG}path") if path.get("class", "").startswith("line")]
    assert len(curves) == 3
    for curve in curves:
        xy = [tuple(map(float, point.split())) for point in curve.get("d").removeprefix("M").split("L")]
        assert len(xy) == 30
        assert xy == sorted(xy)
        assert xy[0][1] > xy[-1][1]  # y goes down, Dice goes up
    assert parsed(table_of("figure4", available=Available())) is not None


def test_small_scale_is_loud(table_of):
    shown = " ".join(filter(None, texts(parsed(table_of("table1", scale=SMALL_SCALE)))))
    assert "THESE NUMBERS MEAN NOTHING" in shown
