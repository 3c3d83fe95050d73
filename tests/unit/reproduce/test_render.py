import csv
import io

import pytest

from sac_wsi.reproduce.needs import Given
from sac_wsi.reproduce.render import csv_text, curves_csv, markdown, number, terminal
from sac_wsi.reproduce.results import RowResult
from sac_wsi.reproduce.scale import SMALL_SCALE
from sac_wsi.reproduce.tables import TARGETS


def line_of(text, begins):
    return next(line for line in text.splitlines() if line.startswith(begins))


def read_csv(sheet):
    return {row["row"]: row for row in csv.DictReader(io.StringIO(csv_text(sheet)))}


def test_markdown_has_both_numbers_and_the_interval(sheet_of, make_scores):
    scores = make_scores(2)
    text = markdown(sheet_of("table1", lambda row: RowResult(scores)), plot="table1.svg")
    low, high = (100 * value for value in scores.intervals["f1_pooled"].to_json())
    line = line_of(text, "| SAC 0-expert <sup>5,6</sup> ")
    assert f"| 84.11 | {100 * scores.f1_pooled:.2f} [{low:.2f}, {high:.2f}] | 72.61 |" in line
    assert "| quoted by the paper, not run |" in line_of(text, "| MedT ")
    assert "![Table 1: MoNuSeg](table1.svg)" in text
    assert "5. One run printed twice" in text


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("scale", [None, SMALL_SCALE], ids=["paper", "small"])
def test_every_target_in_every_form(sheet_of, name, scale):
    sheet = sheet_of(name, **({"scale": scale} if scale else {}))
    table = [line for line in markdown(sheet).splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(sheet.rows)
    assert len({line.count("|") for line in table}) == 1
    assert list(read_csv(sheet)) == [row.label for row in sheet.rows]
    shown = terminal(sheet)
    for row in sheet.rows:
        assert row.label in shown
    for footnote in (*(text for _, text in sheet.footnotes), *sheet.remarks):
        words = footnote.split()
        assert " ".join(words) in markdown(sheet)
        assert " ".join(words) in " ".join(shown.split())
    assert max(len(line) for line in shown.splitlines()) <= 135
    assert "nan" not in (markdown(sheet) + csv_text(sheet) + shown).lower().split()


def test_csv_is_for_machines(sheet_of):
    rows = read_csv(sheet_of("table2", given=Given({"vit_h"}, {"dsb"})))
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
    not_run = read_csv(sheet_of("table2", given=Given()))["SAC 0-expert"]
    assert (not_run["status"], not_run["f1"]) == ("not run", "")
    assert "pass --sam-checkpoint FILE" in not_run["told"]


def test_small_scale_is_loud_in_every_form(sheet_of):
    sheet = sheet_of("table3", scale=SMALL_SCALE, given=Given())
    assert markdown(sheet).splitlines()[2].startswith("> **SCALE SMALL: THESE NUMBERS MEAN NOTHING.")
    shown = terminal(sheet).splitlines()
    assert shown[0] == shown[-1] == "!" * 110
    assert "MEAN NOTHING" in shown[1]
    assert all("MEAN NOTHING" in row["warning"] for row in read_csv(sheet).values())


def test_terminal_gives_a_reason_once_for_all_its_rows(sheet_of):
    shown = terminal(sheet_of("table7", given=Given({"vit_h"}, {"monuseg"})))
    assert "not run" in line_of(shown, "ViT-B")
    assert "- not run: needs sam_vit_b: pass --sam-checkpoint FILE: ViT-B" in shown
    shown = terminal(sheet_of("table3", given=Given(data={"monuseg"})))
    assert shown.count("pass --sam-checkpoint FILE") == 1


def test_terminal_shows_table_6_whole(sheet_of):
    line = line_of(terminal(sheet_of("table6")), "SAC")
    assert line.split()[1:] == [
        *("56,493,360", "56,493,360"),
        *("637,026,048", "637,026,048"),
        *("693,519,408", "693,519,408"),
    ]


def test_bars_in_a_reason_keep_the_markdown_whole(sheet_of):
    def run_row(row):
        return RowResult(why_not="a | b <c>", failed=True)

    text = markdown(sheet_of("losses", run_row))
    assert "failed: a \\| b &lt;c>" in text


def test_curves(sheet_of):
    sheet = sheet_of("figure4")
    lines = curves_csv(sheet).splitlines()
    assert lines[0] == "row,epoch,dice"
    assert len(lines) == 1 + 90
    assert lines[1].startswith("SAM-FT,1,")
    assert curves_csv(sheet_of("table1")) == ""


def test_numbers():
    assert [number(v, d) for v, d in ((84.1, 2), (None, 2), (648_853_649.0, 0))] == [
        "84.10",
        "–",
        "648,853,649",
    ]
