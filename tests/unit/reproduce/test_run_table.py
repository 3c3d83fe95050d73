import pytest

from sac_wsi.errors import SacWsiError, WriteError
from sac_wsi.reproduce.audit import SplitAudit
from sac_wsi.reproduce.experiment import Experiment
from sac_wsi.reproduce.inputs import Available, missing_inputs
from sac_wsi.reproduce.results import ParameterCounts, RunResult
from sac_wsi.reproduce.run_table import RunCache, run_table
from sac_wsi.reproduce.scale import MOBILE_SCALE, PAPER_SCALE, SMALL_SCALE
from sac_wsi.reproduce.tables import TARGETS, target


@pytest.mark.parametrize("made", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("scale", [PAPER_SCALE, SMALL_SCALE], ids=["paper", "small"])
def test_each_run_is_done_once(made, scale, trainer, everything):
    found = run_table(made, trainer, scale=scale, available=everything)
    assert [line.row for line in found.lines] == list(made.rows)
    assert len(trainer.asked) == len(set(trainer.asked))
    assert set(trainer.asked) == {scale.of(row.run) for row in made.rows if row.run}
    for line in found.lines:
        assert (line.result is None) == (line.row.run is None)


def test_no_run_is_done_twice_for_all_of_the_tables(trainer, everything):
    results = RunCache()
    for made in TARGETS.values():
        run_table(made, trainer, available=everything, results=results)
    assert len(trainer.asked) == len(set(trainer.asked)) == len(results.by_run)


def test_at_small_scale_nothing_is_needed_and_encoders_fall_together(trainer):
    found = run_table(target("table7"), trainer, scale=SMALL_SCALE)
    assert [run.encoder for run in trainer.asked] == ["vit_nano"]
    assert [line.same_as for line in found.lines] == ["", "ViT-B", "ViT-B"]
    assert all(line.result.scores for line in found.lines)


def test_what_is_missing():
    sac, unet = Experiment("dsb", "sac", "vit_l", mask_loss="focal_dice"), Experiment("dsb", "unet", "")
    assert missing_inputs(sac, PAPER_SCALE, Available()) == (
        "needs sam_vit_l: pass --sam-checkpoint FILE; needs DSB 2018: pass --data dsb=FOLDER"
    )
    assert missing_inputs(sac, PAPER_SCALE, Available({"vit_l"}, {"dsb"})) == ""
    assert missing_inputs(sac, PAPER_SCALE, Available({"vit_h"}, {"dsb"})).startswith("needs sam_vit_l:")
    assert missing_inputs(unet, PAPER_SCALE, Available(data={"dsb"})) == ""
    assert missing_inputs(sac, SMALL_SCALE, Available()) == ""
    needed = "needs MobileSAM: pass --sam-checkpoint FILE"
    assert missing_inputs(sac, MOBILE_SCALE, Available({"vit_l"}, {"dsb"})) == needed
    assert missing_inputs(sac, MOBILE_SCALE, Available({"vit_t"}, {"dsb"})) == ""


def test_rows_without_what_they_need_say_so_and_the_others_run(trainer):
    found = run_table(target("table7"), trainer, available=Available({"vit_b"}, {"monuseg"}))
    assert [run.encoder for run in trainer.asked] == ["vit_b"]
    seen = [line.result.reason for line in found.lines]
    assert seen == ["", *(f"needs sam_{e}: pass --sam-checkpoint FILE" for e in ("vit_l", "vit_h"))]
    assert not found.failed


def test_a_row_that_fails_does_not_stop_the_others(trainer, everything):
    def run_row(row):
        if row.run.family == "msa":
            raise SacWsiError("The loss became NaN or infinite")
        return trainer(row)

    found = run_table(target("table1"), run_row, available=everything)
    assert [line.row.name for line in found.failed] == ["MSA 1-expert"]
    assert found.failed[0].result.reason == "The loss became NaN or infinite"
    assert len(trainer.asked) == 4


def test_a_full_disk_does(everything):
    def run_row(row):
        raise WriteError("No space")

    with pytest.raises(WriteError):
        run_table(target("table1"), run_row, available=everything)


def test_datasets_are_audited_once_and_on_row_receives_each_row(trainer, everything):
    asked, seen = [], []

    def audit(dataset):
        asked.append(dataset)
        return SplitAudit(dataset, "here", 1, 1, 1) if dataset == "dsb" else None

    found = run_table(target("table4"), trainer, available=everything, audit=audit, on_row=seen.append)
    assert asked == ["monuseg", "dsb"]
    assert [each.dataset for each in found.audits] == ["dsb"]
    assert tuple(seen) == found.lines


def test_table_6_is_counted_at_any_scale(trainer):
    for scale in (PAPER_SCALE, SMALL_SCALE):
        lines = run_table(target("table6"), trainer, scale=scale).lines
        assert [line.counted for line in lines] == [
            ParameterCounts(12_746_129, 636_107_520, 648_853_649),
            ParameterCounts(56_595_760, 637_026_048, 693_621_808),
            ParameterCounts(56_493_360, 637_026_048, 693_519_408),
        ]
    assert not trainer.asked


def test_a_result_has_scores_or_says_why_not():
    with pytest.raises(ValueError, match="scores or says why not"):
        RunResult()
