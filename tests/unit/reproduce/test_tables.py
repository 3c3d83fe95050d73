import subprocess
import sys
from collections import defaultdict
from typing import get_args, get_type_hints

import pytest

from sac_wsi.errors import RequestError
from sac_wsi.reproduce.experiment import Experiment, MaskLoss
from sac_wsi.reproduce.footnotes import FOOTNOTES
from sac_wsi.reproduce.paper import paper_tables
from sac_wsi.reproduce.rows import run_named
from sac_wsi.reproduce.scale import MOBILE_SCALE, PAPER_SCALE, SMALL_SCALE
from sac_wsi.reproduce.tables import TARGETS, target

ASKED_FOR = ["table1", "table2", "table3", "table4", "table5", "table6", "table7", "figure4", "losses"]
SAC = Experiment("monuseg", "sac", "vit_h", "R", 1, 0, "focal_dice")


def row(name, label):
    return next(each for each in target(name).rows if each.label == label)


def everything():
    return [(made, each) for made in TARGETS.values() for each in made.rows]


def test_what_can_be_reproduced():
    assert set(ASKED_FOR) <= set(TARGETS)
    with pytest.raises(RequestError, match=r"'tabel3' to reproduce. Did you mean table3\?"):
        target("tabel3")
    with pytest.raises(RequestError, match="There are: table1, table2"):
        target("x")


@pytest.mark.parametrize("number", range(1, 9))
def test_every_row_of_the_paper_is_there_in_its_order(number):
    printed = list(paper_tables()[number].rows)
    names = list(dict.fromkeys(each.name.split(": ")[-1] for each in target(f"table{number}").rows))
    assert names == printed


@pytest.mark.parametrize("made", TARGETS.values(), ids=TARGETS)
def test_labels_tell_rows_apart(made):
    labels = [each.label for each in made.rows]
    assert len(set(labels)) == len(labels)


def test_only_rivals_are_quoted():
    quoted = {each.name for _, each in everything() if each.quoted}
    assert quoted == {
        *("MedT", "UCTransNet", "MDM", "HistoSeg", "DoubleU-Net"),
        *("DuAT", "SSFormer-L", "MSRF-Net", "FANet"),
    }


def test_rows_that_are_one_run():
    assert row("table1", "SAC 0-expert").run == SAC
    assert row("table3", "LoRA 1-point 0-expert").run == SAC
    assert row("table7", "ViT-H").run == SAC
    assert row("losses", "focal + Dice").run == SAC
    assert row("figure4", "SAC").run == SAC
    assert row("table1", "SAM-FT 1-expert").run == row("table3", "SAM-FT 1-point 1-expert").run
    assert row("table1", "MSA 1-expert").run == row("table3", "MSA 0-point 1-expert").run
    for name, other in (
        ("R-1-point", "SAM-FT 1-point 1-expert"),
        ("R-3-point", "SAM-FT 1-point 3-expert"),
        ("R-256-point", "SAM-FT 3-point 3-expert"),
    ):
        assert row("table5", f"{name} (by its numbers)").run == row("table3", other).run
    assert row("table5", "R-1-point (as named)").run == row("table3", "SAM-FT 1-point 0-expert").run
    in_table_4 = {
        "by its numbers": "DSB: SAM-FT 0-point 0-expert",
        "as named": "DSB: SAM-FT 0-point 1-expert",
    }
    for reading, other in in_table_4.items():
        assert row("table2", f"SAM-FT 1-expert ({reading})").run == row("table4", other).run
    first = row("table4", "MoNuSeg: SAM-FT 0-point 0-expert")
    assert first.run == row("table3", "SAM-FT 0-point 0-expert").run
    assert first.paper == row("table3", "SAM-FT 0-point 0-expert").paper


def test_one_run_has_one_set_of_numbers_or_a_footnote():
    printed = defaultdict(list)
    for _, each in everything():
        if each.run and any(value is not None for value in each.paper.values()):
            scores = tuple(each.paper[key] for key in ("f1", "iou", "dice"))
            printed[each.run].append((each, scores))
    differ = [rows for rows in printed.values() if len({scores for _, scores in rows}) > 1]
    assert differ
    for rows in differ:
        for each, _ in rows:
            assert set(each.notes) & {"f1-dice", "table2-sam-ft", "r1-named"}


@pytest.mark.parametrize(
    ("name", "label", "run"),
    [
        ("table1", "U-Net", Experiment("monuseg", "unet", "")),
        ("table1", "SAM 1-expert", Experiment("monuseg", "sam", experts=1)),
        ("table2", "SAC 0-expert", Experiment("dsb", "sac", "vit_h", "R", 1, 0, "focal_dice")),
        ("table3", "SAM 0-point 0-expert", Experiment("monuseg", "sam")),
        ("table3", "MSA 3-point 3-expert", Experiment("monuseg", "msa", "vit_h", "R", 3, 3, "focal_dice")),
        (
            "table4",
            "DSB: SAM-FT 0-point 3-expert",
            Experiment("dsb", "sam-ft", "vit_h", "", 0, 3, "focal_dice"),
        ),
        ("table5", "O-256-point", Experiment("monuseg", "sam-ft", "vit_h", "O", 256, 0, "focal_dice")),
        (
            "table5",
            "R-256-point (as named)",
            Experiment("monuseg", "sam-ft", "vit_h", "R", 256, 0, "focal_dice"),
        ),
        ("table7", "ViT-B", Experiment("monuseg", "sac", "vit_b", "R", 1, 0, "focal_dice")),
        ("table8", "SAC 0-expert", Experiment("glas", "sac", "vit_h", "R", 1, 0, "focal_dice")),
        ("losses", "DiceCE", Experiment("monuseg", "sac", "vit_h", "R", 1, 0, "dice_ce")),
        (
            "losses",
            "DiceCE as printed",
            Experiment("monuseg", "sac", "vit_h", "R", 1, 0, "dice_ce_as_printed"),
        ),
        ("figure4", "SAM-FT", Experiment("monuseg", "sam-ft", "vit_h", "R", 1, 1, "focal_dice")),
        ("figure4", "MSA", Experiment("monuseg", "msa", "vit_h", "", 0, 1, "focal_dice")),
    ],
)
def test_runs(name, label, run):
    assert row(name, label).run == run


def test_each_contradiction_is_a_footnote_where_it_belongs():
    used = {key for made, each in everything() for key in (*made.notes, *each.notes)}
    assert used == set(FOOTNOTES)
    for name, label, key in (
        ("table1", "SAC 0-expert", "f1-dice"),
        ("table7", "ViT-H", "f1-dice"),
        ("table1", "HistoSeg", "histoseg"),
        ("table8", "HistoSeg", "histoseg"),
        ("table2", "SAM-FT 1-expert (as named)", "table2-sam-ft"),
        ("table4", "MoNuSeg: SAM-FT 0-point 1-expert", "table1-sam-ft"),
        ("table5", "R-3-point (as named)", "table5-names"),
        ("table3", "SAM-FT 3-point 3-expert", "table5-names"),
        ("losses", "DiceCE as printed", "eq8"),
    ):
        assert key in row(name, label).notes
    assert {each.name for each in target("table3").rows if "no-prompt" in each.notes} == {
        f"{model} 0-point 0-expert" for model in ("SAM", "SAM-FT", "MSA", "LoRA")
    }
    assert "table6-unet" in target("table6").notes


def test_each_run_has_one_spelling_only():
    for wrong in (
        {"encoder": ""},
        {"points": 1},
        {"way": "R"},
        {"mask_loss": ""},
        {"family": "unet"},
        {"family": "sam"},
    ):
        with pytest.raises(ValueError, match="Experiment"):
            Experiment(**{"dataset": "dsb", "family": "sac", "mask_loss": "focal_dice", **wrong})
    with pytest.raises(ValueError, match="does not state its prompts"):
        run_named("SAC 0-expert", "dsb")


def test_names_of_runs_are_names_of_folders():
    runs = {each.run for _, each in everything() if each.run}
    names = {run.name for run in runs}
    assert len(names) == len(runs)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzOR0123456789-_") for name in names)


def test_points():
    points = Experiment("dsb", "sam-ft", "vit_h", "O", 256, 0, "focal_dice").point_settings(seed=3)
    assert (points.mode, points.positive, points.negative, points.seed) == ("O", 256, 256, 3)
    assert run_named("LoRA 0-point 1-expert", "dsb").point_settings().positive == 0


def test_sizes():
    assert PAPER_SCALE.of(SAC) == SAC
    assert PAPER_SCALE.size(SAC).tile_px == 1024
    small = SMALL_SCALE.of(SAC)
    assert (small.encoder, small.points, small.family) == ("vit_nano", 1, "sac")
    assert SMALL_SCALE.size(small) == SMALL_SCALE.size(SAC)
    for _, each in everything():
        if each.run:
            assert SMALL_SCALE.size(each.run).tile_px == 64
            assert SMALL_SCALE.of(each.run).encoder == ("" if each.run.family == "unet" else "vit_nano")


def test_losses_are_those_of_training():
    from sac_wsi.train.config import ObjectiveSettings

    assert get_args(MaskLoss) == get_args(get_type_hints(ObjectiveSettings)["mask_loss"])


def test_the_targets_can_be_listed_without_heavy_libraries():
    code = """
import sys
import sac_wsi.reproduce.tables
assert not {"torch", "scipy", "numba"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_mobile_scale_runs_every_row_on_the_encoder_of_mobile_sam():
    assert MOBILE_SCALE.from_sam
    mobile = MOBILE_SCALE.of(SAC)
    size = MOBILE_SCALE.size(mobile)
    assert (mobile.encoder, size.encoder, size.tile_px, size.prompter.width) == ("vit_t", "vit_t", 512, 16)
    assert MOBILE_SCALE.of(Experiment("monuseg", "unet", "")).encoder == ""
