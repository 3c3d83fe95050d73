import pytest

from sac_wsi.errors import SacWsiError
from sac_wsi.reproduce.audit import SplitAudit
from sac_wsi.reproduce.needs import Given
from sac_wsi.reproduce.results import RowResult
from sac_wsi.reproduce.scale import SMALL_SCALE
from sac_wsi.reproduce.sheet import epoch_near_best
from sac_wsi.reproduce.tables import TARGETS


def by_label(sheet):
    return {row.label: row for row in sheet.rows}


def test_the_papers_numbers_beside_ours_in_per_cent(sheet_of, make_scores):
    scores = make_scores(1)
    row = by_label(sheet_of("table1", lambda row: RowResult(scores)))["SAC 0-expert"]
    assert row.status == "ran"
    assert row.cells["f1"].paper == 84.11
    assert row.cells["f1"].ours == pytest.approx(100 * scores.f1_pooled)
    interval = scores.intervals["f1_pooled"]
    assert row.cells["f1"].interval == (100 * interval.low, 100 * interval.high)
    for key in ("iou", "dice", "aji", "pq", "f1_det"):
        assert row.cells[key].ours == pytest.approx(100 * scores.mean[key])
        assert row.cells[key].interval is not None
    assert row.cells["pq"].paper is None


def test_one_image_has_no_interval(sheet_of, make_scores):
    row = by_label(sheet_of("table1", lambda row: RowResult(make_scores(1, images=1))))["U-Net"]
    assert row.cells["f1"].interval is None


def test_rows_that_did_not_run(sheet_of, trainer):
    def run_row(row):
        if row.run.family == "sac":
            raise SacWsiError("out of\nmemory")
        return trainer(row)

    rows = by_label(sheet_of("table1", run_row))
    assert (rows["MedT"].status, rows["MedT"].told) == ("quoted", "quoted by the paper, not run")
    assert (rows["SAC 0-expert"].status, rows["SAC 0-expert"].told) == ("failed", "out of\\nmemory")
    rows = by_label(sheet_of("table1", given=Given(data={"monuseg"})))
    assert rows["U-Net"].status == "ran"
    assert rows["SAM 1-expert"].status == "not run"
    assert rows["SAM 1-expert"].told == "needs sam_vit_h: pass --sam-checkpoint FILE"
    assert rows["SAM 1-expert"].cells["f1"].paper == 25.36


def test_footnotes_are_numbered_in_the_order_of_the_rows(sheet_of):
    sheet = sheet_of("table1")
    assert [row.marks for row in sheet.rows if row.marks] == [(1,), (2,), (3,), (4,), (5, 6)]
    assert [i for i, _ in sheet.footnotes] == [1, 2, 3, 4, 5, 6]
    assert "F1 84.11 and Dice 84.03" in dict(sheet.footnotes)[5]


@pytest.mark.parametrize("name", TARGETS)
def test_small_scale_warns_of_all_but_counts(sheet_of, name):
    sheet = sheet_of(name, scale=SMALL_SCALE, given=Given())
    assert ("MEAN NOTHING" in sheet.warning) == (name != "table6")
    assert not sheet_of(name).warning
    assert all(row.status in ("ran", "quoted", "counted") for row in sheet.rows)


def test_the_split_is_told_of_every_set(sheet_of):
    def audit(dataset):
        return SplitAudit(dataset, "a\nb", 24, 6, 14) if dataset == "monuseg" else None

    assert sheet_of("table4", audit=audit).audits == (
        "MoNuSeg: 24 train, 6 val, 14 test (paper: 30, none named, 14); from a\\nb",
        "MoNuSeg: the same image in two parts: none",
        "DSB 2018: not at hand, not audited",
    )
    assert sheet_of("table6").audits == ()
    assert sheet_of("table8", scale=SMALL_SCALE).audits[0].endswith("made on the spot stand in for it")


def test_times_stand_in_the_tables_that_have_them(sheet_of):
    sheet = sheet_of("table5")
    cell = by_label(sheet)["O-256-point"].cells["seconds_per_epoch"]
    assert (cell.paper, cell.ours) == (23, 13.0)
    assert "seconds_per_epoch" not in [column.key for column in sheet_of("table3").columns]


def test_curves_are_of_figure_4_alone(sheet_of):
    assert not any(row.curve for row in sheet_of("table1").rows)
    sheet = sheet_of("figure4")
    assert [len(row.curve) for row in sheet.rows] == [30, 30, 30]
    slow, _, fast = (row.cells for row in sheet.rows)
    assert slow["near_best_epoch"].ours > fast["near_best_epoch"].ours
    assert fast["best_dice"].ours == pytest.approx(100 * max(d for _, d in sheet.rows[2].curve))
    assert not any(column.paper for column in sheet.columns)


def test_how_fast_it_converges():
    assert epoch_near_best(((1, 0.2), (2, 0.9), (3, 1.0), (4, 0.99))) == 3
    assert epoch_near_best(((5, 0.0),)) == 5


def test_what_machines_are_told_of_a_row(sheet_of):
    facts = by_label(sheet_of("table5"))["R-3-point (by its numbers)"].facts
    assert facts["run"] == "monuseg-sam-ft-vit_h-R1-expert3-focal_dice"
    assert facts["reading"] == "by its numbers"
    assert facts["checkpoint"].endswith("best.safetensors")
    small = by_label(sheet_of("table5", scale=SMALL_SCALE))["O-1-point"].facts
    assert (small["scale"], small["encoder"]) == ("small", "vit_nano")
