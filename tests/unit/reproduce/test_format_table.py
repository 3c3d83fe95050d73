import csv
import io

import pytest

from sac_wsi.reproduce.format_table import csv_text, curves_csv, markdown, number, terminal
from sac_wsi.reproduce.inputs import Available
from sac_wsi.reproduce.results import RunResult
from sac_wsi.reproduce.scale import SMALL_SCALE
from sac_wsi.reproduce.tables import TARGETS


def line_of(text, begins):
    return next(line for line in text.splitlines() if line.startswith(begins))


def read_csv(table):
    return {row["row"]: row for row in csv.DictReader(io.StringIO(csv_text(table)))}


def test_markdown_has_both_numbers_and_the_interval(table_of, make_scores):
    scores = make_scores(2)
    text = markdown(table_of("table1", lambda row: RunResult(scores)), plot="table1.svg")
    low, high = (100 * value for value in scores.intervals["f1_pooled"].to_json())
    line = line_of(text, "| SAC 0-expert <sup>5,6</sup> ")
    assert f"| 84.11 | {100 * scores.f1_pooled:.2f} [{low:.2f}, {high:.2f}] | 72.61 |" in line
    assert "| quoted by the paper, not run |" in line_of(text, "| MedT ")
    assert "![Table 1: MoNuSeg](table1.svg)" in text
    assert "5. One run printed twice" in text


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("scale", [None, SMALL_SCALE], ids=["paper", "small"])
def test_every_target_in_every_form(table_of, name, scale):
    table = table_of(name, **({"scale": scale} if scale else {}))
    lines = [line for line in markdown(table).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(table.rows)
    assert len({line.count("|") for line in lines}) == 1
    assert list(read_csv(table)) == [row.label for row in table.rows]
    shown = terminal(table)
    for row in table.rows:
        assert row.label in shown
    for footnote in (*(text for _, text in table.footnotes), *table.remarks):
        words = footnote.split()
        assert " ".join(words) in markdown(table)
        assert " ".join(words) in " ".join(shown.split())
    assert max(len(line) for line in shown.splitlines()) <= 135
    assert "nan" not in (markdown(table) + csv_text(table) + shown).lower().split()


def test_csv_is_for_machines(table_of):
    rows = read_csv(table_of("table2", available=Available({"vit_h"}, {"dsb"})))
    sac = rows["SAC 0-expert"]
    assert (sac["paper_f1"], sac["paper_dice"], sac["encoder"], sac["points"]) == (
        "93.48",
        "93.04",
        "vit_h",
        "1",
    )
    assert float(sac["f1_low"]) <= float(sac["f1"]) <= float(sac["f1_high"])
    assert float(sac["pq_low"]) <= float(sac["pq"]) <= float(sac["pq_high"])
    assert "paper_pq" not in sac
    assert (rows["DuAT"]["status"], rows["DuAT"]["f1"], rows["DuAT"]["paper_iou"]) == ("quoted", "", "87")
    assert rows["DuAT"]["dataset"] == "dsb"
    not_run = read_csv(table_of("table2", available=Available()))["SAC 0-expert"]
    assert (not_run["status"], not_run["f1"]) == ("not run", "")
    assert "pass --sam-checkpoint FILE" in not_run["reason"]


def test_small_scale_is_loud_in_every_form(table_of):
    table = table_of("table3", scale=SMALL_SCALE, available=Available())
    assert markdown(table).splitlines()[2].startswith("> **SCALE SMALL: THESE NUMBERS MEAN NOTHING.")
    shown = terminal(table).splitlines()
    assert shown[0] == shown[-1] == "!" * 110
    assert "MEAN NOTHING" in shown[1]
    assert all("MEAN NOTHING" in row["warning"] for row in read_csv(table).values())


def test_terminal_gives_a_reason_once_for_all_its_rows(table_of):
    shown = terminal(table_of("table7", available=Available({"vit_h"}, {"monuseg"})))
    assert "not run" in line_of(shown, "ViT-B")
    assert "- not run: needs sam_vit_b: pass --sam-checkpoint FILE: ViT-B" in shown
    shown = terminal(table_of("table3", available=Available(data={"monuseg"})))
    assert shown.count("pass --sam-checkpoint FILE") == 1


def test_terminal_shows_table_6_whole(table_of):
    line = line_of(terminal(table_of("table6")), "SAC")
    assert line.split()[1:] == [
        *("56,493,360", "56,493,360"),
        *("637,026,048", "637,026,048"),
        *("693,519,408", "693,519,408"),
    ]


def test_bars_in_a_reason_keep_the_markdown_whole(table_of):
    def run_row(row):
        return RunResult(reason="a | b <c>", failed=True)

    text = markdown(table_of("losses", run_row))
    assert "failed: a \\| b &lt;c>" in text


def test_curves(table_of):
    table = table_of("figure4")
    lines = curves_csv(table).splitlines()
    assert lines[0] == "row,epoch,dice"
    assert len(lines) == 1 + 90
    assert lines[1].startswith("SAM-FT,1,")
    assert curves_csv(table_of("table1")) == ""


def test_numbers():
    assert [number(v, d) for v, d in ((84.1, 2), (None, 2), (648_853_649.0, 0))] == [
        "84.10",
        "–",
        "648,853,649",
    ]
