import pytest

from sac_wsi.errors import SacWsiError
from sac_wsi.reproduce.audit import SplitAudit
from sac_wsi.reproduce.inputs import Available
from sac_wsi.reproduce.result_table import epoch_near_best
from sac_wsi.reproduce.results import RunResult
from sac_wsi.reproduce.scale import SMALL_SCALE
from sac_wsi.reproduce.tables import TARGETS


def by_label(table):
    return {row.label: row for row in table.rows}


def test_the_papers_numbers_beside_ours_in_per_cent(table_of, make_scores):
    scores = make_scores(1)
    row = by_label(table_of("table1", lambda row: RunResult(scores)))["SAC 0-expert"]
    assert row.status == "ran"
    assert row.cells["f1"].paper == 84.11
    assert row.cells["f1"].ours == pytest.approx(100 * scores.f1_pooled)
    interval = scores.intervals["f1_pooled"]
    assert row.cells["f1"].interval == (100 * interval.low, 100 * interval.high)
    for key in ("iou", "dice", "aji", "pq", "f1_det"):
        assert row.cells[key].ours == pytest.approx(100 * scores.mean[key])
        assert row.cells[key].interval is not None
    assert row.cells["pq"].paper is None


def test_one_image_has_no_interval(table_of, make_scores):
    row = by_label(table_of("table1", lambda row: RunResult(make_scores(1, images=1))))["U-Net"]
    assert row.cells["f1"].interval is None


def test_rows_that_did_not_run(table_of, trainer):
    def run_row(row):
        if row.run.family == "sac":
            raise SacWsiError("out of\nmemory")
        return trainer(row)

    rows = by_label(table_of("table1", run_row))
    assert (rows["MedT"].status, rows["MedT"].reason) == ("quoted", "quoted by the paper, not run")
    assert (rows["SAC 0-expert"].status, rows["SAC 0-expert"].reason) == ("failed", "out of\\nmemory")
    rows = by_label(table_of("table1", available=Available(data={"monuseg"})))
    assert rows["U-Net"].status == "ran"
    assert rows["SAM 1-expert"].status == "not run"
    assert rows["SAM 1-expert"].reason == "needs sam_vit_h: pass --sam-checkpoint FILE"
    assert rows["SAM 1-expert"].cells["f1"].paper == 25.36


def test_footnotes_are_numbered_in_the_order_of_the_rows(table_of):
    table = table_of("table1")
    assert [row.marks for row in table.rows if row.marks] == [(1,), (2,), (3,), (4,), (5, 6)]
    assert [i for i, _ in table.footnotes] == [1, 2, 3, 4, 5, 6]
    assert "F1 84.11 and Dice 84.03" in dict(table.footnotes)[5]


@pytest.mark.parametrize("name", TARGETS)
def test_small_scale_warns_of_all_but_counts(table_of, name):
    table = table_of(name, scale=SMALL_SCALE, available=Available())
    assert ("MEAN NOTHING" in table.warning) == (name != "table6")
    assert not table_of(name).warning
    assert all(row.status in ("ran", "quoted", "counted") for row in table.rows)


def test_every_dataset_has_a_line_about_its_split(table_of):
    def audit(dataset):
        return SplitAudit(dataset, "a\nb", 24, 6, 14) if dataset == "monuseg" else None

    assert table_of("table4", audit=audit).audits == (
        "MoNuSeg: 24 train, 6 val, 14 test (paper: 30, none named, 14); from a\\nb",
        "MoNuSeg: the same image in two parts: none",
        "DSB 2018: not available, not checked",
    )
    assert table_of("table6").audits == ()
    assert table_of("table8", scale=SMALL_SCALE).audits[0].endswith("synthetic images are used instead")


def test_times_stand_in_the_tables_that_have_them(table_of):
    table = table_of("table5")
    cell = by_label(table)["O-256-point"].cells["seconds_per_epoch"]
    assert (cell.paper, cell.ours) == (23, 13.0)
    assert "seconds_per_epoch" not in [column.key for column in table_of("table3").columns]


def test_curves_are_of_figure_4_alone(table_of):
    assert not any(row.curve for row in table_of("table1").rows)
    table = table_of("figure4")
    assert [len(row.curve) for row in table.rows] == [30, 30, 30]
    slow, _, fast = (row.cells for row in table.rows)
    assert slow["near_best_epoch"].ours > fast["near_best_epoch"].ours
    assert fast["best_dice"].ours == pytest.approx(100 * max(d for _, d in table.rows[2].curve))
    assert not any(column.paper for column in table.columns)


def test_how_fast_it_converges():
    assert epoch_near_best(((1, 0.2), (2, 0.9), (3, 1.0), (4, 0.99))) == 3
    assert epoch_near_best(((5, 0.0),)) == 5


def test_the_facts_of_a_row_for_the_csv_file(table_of):
    facts = by_label(table_of("table5"))["R-3-point (by its numbers)"].facts
    assert facts["run"] == "monuseg-sam-ft-vit_h-R1-expert3-focal_dice"
    assert facts["reading"] == "by its numbers"
    assert facts["checkpoint"].endswith("best.safetensors")
    small = by_label(table_of("table5", scale=SMALL_SCALE))["O-1-point"].facts
    assert (small["scale"], small["encoder"]) == ("small", "vit_nano")
