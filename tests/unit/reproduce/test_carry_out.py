import pytest

from sac_wsi.errors import SacWsiError, WriteError
from sac_wsi.reproduce.audit import SplitAudit
from sac_wsi.reproduce.carry_out import Results, carry_out
from sac_wsi.reproduce.needs import Given, missing
from sac_wsi.reproduce.parameters import Parameters
from sac_wsi.reproduce.results import RowResult
from sac_wsi.reproduce.runs import Run
from sac_wsi.reproduce.scale import PAPER_SCALE, SMALL_SCALE
from sac_wsi.reproduce.tables import TARGETS, target


@pytest.mark.parametrize("made", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("scale", [PAPER_SCALE, SMALL_SCALE], ids=["paper", "small"])
def test_each_run_is_done_once(made, scale, trainer, everything):
    found = carry_out(made, trainer, scale=scale, given=everything)
    assert [line.row for line in found.lines] == list(made.rows)
    assert len(trainer.asked) == len(set(trainer.asked))
    assert set(trainer.asked) == {scale.of(row.run) for row in made.rows if row.run}
    for line in found.lines:
        assert (line.result is None) == (line.row.run is None)


def test_no_run_is_done_twice_for_all_of_the_tables(trainer, everything):
    results = Results()
    for made in TARGETS.values():
        carry_out(made, trainer, given=everything, results=results)
    assert len(trainer.asked) == len(set(trainer.asked)) == len(results.by_run)


def test_at_small_scale_nothing_is_needed_and_encoders_fall_together(trainer):
    found = carry_out(target("table7"), trainer, scale=SMALL_SCALE)
    assert [run.encoder for run in trainer.asked] == ["vit_nano"]
    assert [line.same_as for line in found.lines] == ["", "ViT-B", "ViT-B"]
    assert all(line.result.scores for line in found.lines)


def test_what_is_missing():
    sac, unet = Run("dsb", "sac", "vit_l", mask_loss="focal_dice"), Run("dsb", "unet", "")
    assert missing(sac, PAPER_SCALE, Given()) == (
        "needs sam_vit_l: pass --sam-checkpoint FILE; needs DSB 2018: pass --data dsb=FOLDER"
    )
    assert missing(sac, PAPER_SCALE, Given({"vit_l"}, {"dsb"})) == ""
    assert missing(sac, PAPER_SCALE, Given({"vit_h"}, {"dsb"})).startswith("needs sam_vit_l:")
    assert missing(unet, PAPER_SCALE, Given(data={"dsb"})) == ""
    assert missing(sac, SMALL_SCALE, Given()) == ""


def test_rows_without_what_they_need_say_so_and_the_others_run(trainer):
    found = carry_out(target("table7"), trainer, given=Given({"vit_b"}, {"monuseg"}))
    assert [run.encoder for run in trainer.asked] == ["vit_b"]
    told = [line.result.why_not for line in found.lines]
    assert told == ["", *(f"needs sam_{e}: pass --sam-checkpoint FILE" for e in ("vit_l", "vit_h"))]
    assert not found.failed


def test_a_row_that_fails_does_not_stop_the_others(trainer, everything):
    def run_row(row):
        if row.run.family == "msa":
            raise SacWsiError("The loss is no number any more")
        return trainer(row)

    found = carry_out(target("table1"), run_row, given=everything)
    assert [line.row.name for line in found.failed] == ["MSA 1-expert"]
    assert found.failed[0].result.why_not == "The loss is no number any more"
    assert len(trainer.asked) == 4


def test_a_full_disk_does(everything):
    def run_row(row):
        raise WriteError("No space")

    with pytest.raises(WriteError):
        carry_out(target("table1"), run_row, given=everything)


def test_sets_are_audited_once_and_lines_told(trainer, everything):
    asked, told = [], []

    def audit(dataset):
        asked.append(dataset)
        return SplitAudit(dataset, "here", 1, 1, 1) if dataset == "dsb" else None

    found = carry_out(target("table4"), trainer, given=everything, audit=audit, on_line=told.append)
    assert asked == ["monuseg", "dsb"]
    assert [each.dataset for each in found.audits] == ["dsb"]
    assert tuple(told) == found.lines


def test_table_6_is_counted_at_any_scale(trainer):
    for scale in (PAPER_SCALE, SMALL_SCALE):
        lines = carry_out(target("table6"), trainer, scale=scale).lines
        assert [line.counted for line in lines] == [
            Parameters(12_746_129, 636_107_520, 648_853_649),
            Parameters(56_595_760, 637_026_048, 693_621_808),
            Parameters(56_493_360, 637_026_048, 693_519_408),
        ]
    assert not trainer.asked


def test_a_result_has_scores_or_says_why_not():
    with pytest.raises(ValueError, match="scores or says why not"):
        RowResult()
