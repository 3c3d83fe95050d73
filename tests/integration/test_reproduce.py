"""`sac-wsi reproduce` as a user meets it: every row's code, at a scale where nothing means anything."""

import contextlib
import csv
import json
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from sac_wsi.cli import cli
from sac_wsi.errors import DataError, InputChanged, RequestError
from sac_wsi.model.checkpoint.header import read_header
from sac_wsi.model.nets.sam import build_sam
from sac_wsi.model.predict.torch_runner import one_thread
from sac_wsi.reproduce.experiment import Experiment
from sac_wsi.reproduce.inputs import Inputs, places
from sac_wsi.reproduce.paper import paper_tables
from sac_wsi.reproduce.row_runner import RowRunner
from sac_wsi.reproduce.rows import Row
from sac_wsi.reproduce.scale import Scale
from sac_wsi.reproduce.tables import TARGETS
from sac_wsi.reproduce.training_config import read_overrides
from sac_wsi.testing.datasets import make_folders

TARGETS_HERE = ("table1", "table6", "figure4", "losses")
SMALL = ("--scale", "small")
OUT = Path("runs/reproduce/small")


def called(*args, cwd):
    """The command in this process, where the libraries are loaded."""
    with contextlib.chdir(cwd):
        done = CliRunner().invoke(cli, ["reproduce", *args])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return SimpleNamespace(code=done.exit_code, out=done.stdout, err=done.stderr)


def rows_of(folder, target):
    with (folder / OUT / f"{target}.csv").open(newline="", encoding="utf-8") as file:
        return {row["row"]: row for row in csv.DictReader(file)}


def events(done, kind):
    """Of the JSON lines on stderr, the runs' names."""
    lines = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    return [line["run"] for line in lines if line["kind"] == kind]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    done = called(*TARGETS_HERE, *SMALL, cwd=folder)
    assert done.code == 0
    return folder, done


def test_every_row_runs_and_says_what_it_is_worth(small):
    folder, done = small
    for name in TARGETS_HERE:
        assert {path.suffix for path in (folder / OUT).glob(f"{name}.*")} == {".md", ".csv", ".svg"}
        assert str(OUT / f"{name}.md") in done.out.splitlines()
        wanted = {row.label: "quoted" if row.quoted else "ran" for row in TARGETS[name].rows}
        if name != "table6":
            assert {label: row["status"] for label, row in rows_of(folder, name).items()} == wanted
    assert done.out.count("THESE NUMBERS MEAN NOTHING") == 2 * 3
    assert "table1 10/10  SAC 0-expert" in done.err.splitlines()


def test_a_run_is_trained_once_for_all_tables(small):
    _, done = small
    runs = {TARGETS[name].rows[i].run for name in TARGETS_HERE for i in range(len(TARGETS[name].rows))}
    learning = {run.name.replace("vit_h", "vit_nano") for run in runs if run and run.learns}
    assert sorted(events(done, "validation")) == sorted([*learning, *learning])  # two epochs


def test_curves_are_those_of_the_log(small):
    folder, _ = small
    lines = (folder / OUT / "figure4_curves.csv").read_text().splitlines()[1:]
    assert [line.split(",")[:2] for line in lines] == [
        [model, epoch] for model in ("SAM-FT", "MSA", "SAC") for epoch in ("1", "2")
    ]
    log = (folder / OUT / "monuseg-sam-ft-vit_nano-R1-expert1-focal_dice" / "log.jsonl").read_text()
    events = [json.loads(line) for line in log.splitlines()]
    dice = [line["values"]["dice"] for line in events if line["kind"] == "validation"]
    assert [float(line.split(",")[2]) for line in lines[:2]] == pytest.approx(
        [100 * d for d in dice], abs=1e-3
    )


def test_parameters_are_exactly_the_papers(small):
    folder, _ = small
    found = rows_of(folder, "table6")
    for name in paper_tables()[6].rows:
        for column, printed in paper_tables()[6].row(name).items():
            assert int(found[name][column]) == int(found[name][f"paper_{column}"]) == printed


def test_a_second_call_trains_nothing_and_finds_the_same(small):
    folder, first = small
    files = {path: path.read_bytes() for path in (folder / OUT).glob("*.csv")}
    again = called(*TARGETS_HERE, *SMALL, cwd=folder)
    assert again.code == 0
    assert not events(again, "train")
    assert again.out == first.out
    assert {path: path.read_bytes() for path in files} == files


def test_settings_that_are_not_those_of_the_runs_on_disk(small):
    folder, _ = small
    with pytest.raises(InputChanged, match=r"was made with schedule\.batch 2, and it is 3 now.* --out"):
        called("losses", *SMALL, "--set", "schedule.batch=3", cwd=folder)


def test_killed_in_the_middle_it_goes_on(sac, tmp_path):
    args = ("table7", *SMALL, "--set", "schedule.epochs=8")
    run = tmp_path / OUT / "monuseg-sac-vit_nano-R1-focal_dice"
    child = sac.start("reproduce", *args, cwd=tmp_path)
    until = time.monotonic() + 120
    while not (run / "state.pt").exists():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    assert not (run / "finished.json").exists()
    done = called(*args, cwd=tmp_path)
    assert done.code == 0
    assert 0 < len(events(done, "validation")) < 8
    assert (run / "finished.json").exists()
    assert not (run / "state.pt").exists()
    assert [row["reason"] for row in rows_of(tmp_path, "table7").values()] == [
        *("", "the same run as ViT-B", "the same run as ViT-B")
    ]


def test_a_failed_row_is_reported_and_sets_the_exit_code(tmp_path):
    wild = [f"schedule.{name}" for name in ("learning_rate=1e30", "clip_norm=1e30", "warmup_steps=0")]
    settings = [word for change in wild for word in ("--set", change)]
    done = called("table7", *SMALL, *settings, cwd=tmp_path)
    assert done.code == 1
    assert "- failed: The loss" in done.out
    assert {row["status"] for row in rows_of(tmp_path, "table7").values()} == {"failed"}


def test_without_weights_and_images_rows_say_what_they_need(tmp_path):
    done = called("table1", "table7", cwd=tmp_path)
    assert done.code == 0
    assert (
        "table1 10/10  SAC 0-expert: not run, needs sam_vit_h: pass --sam-checkpoint FILE; needs" in done.err
    )
    shown = " ".join(done.out.split())
    assert "- not run: needs MoNuSeg: pass --data monuseg=FOLDER: U-Net" in shown
    assert "needs sam_vit_l: pass --sam-checkpoint FILE" in shown
    assert "84.11" in shown
    assert (tmp_path / "runs/reproduce/paper/table1.md").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("table1", "--data", "monusag=."), r"'monusag'. Did you mean monuseg\?"),
        (("table1", "--data", "monuseg=nowhere"), "nowhere does not exist"),
        (("table1", "--test", "monuseg=."), "--test monuseg .*--data monuseg"),
        (("table1", "--data", "monuseg=."), "no images"),
        (("table1", "--sam-checkpoint", "text.pth"), r"text\.pth"),
        (("table1", "--sam-checkpoint", "nowhere.pth"), r"nowhere\.pth"),
        (("table1", "--set", "schedule.bach=3"), r"Did you mean schedule\.batch\?"),
        (("table1", "--set", "size.tile_px=64"), "the row decides that"),
        (("table1", "--set", "schedule.batch"), r"needed section\.key=value"),
    ],
)
def test_requests_that_cannot_be(tmp_path, args, message):
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(RequestError, match=message):
        called(*args, cwd=tmp_path)
    assert not (tmp_path / "runs").exists()


def test_requests_are_refused_in_one_line(sac, tmp_path):
    sac("reproduce", "tabel3", cwd=tmp_path).refused("'tabel3'", "Did you mean table3?")
    sac("reproduce", "table1", "--data", "images", cwd=tmp_path).refused("--data images", "SET=IMAGES")


def test_an_unknown_scale_and_no_target(tmp_path):
    for args in ((), ("table1", "--scale", "large")):
        assert called(*args, cwd=tmp_path).code == 2


# ---- with images and weights of SAM: the paper's way, at the size of a stamp ----

STAMP = Scale("paper", tile_px=64, prompter_width=4)
QUICK = [f"schedule.{each}" for each in ("epochs=1", "epoch_steps=1", "accumulate=1", "precision=float32")]


@pytest.fixture
def runner(tmp_path):
    torch.manual_seed(1)
    torch.save(build_sam("vit_nano", 64).state_dict(), tmp_path / "nano.pth")
    learn = make_folders(tmp_path / "learn", [f"image{i}" for i in range(6)])
    test = make_folders(tmp_path / "test", ["a", "b", "c"])
    words = [f"monuseg={images},{labels}" for images, labels in (learn, test)]
    inputs = Inputs(
        places("--data", words[:1]), places("--test", words[1:]), {"vit_nano": tmp_path / "nano.pth"}
    )
    with one_thread():
        yield RowRunner(STAMP, inputs, tmp_path / "out", read_overrides([*QUICK, "schedule.crop_px=0"]))


def result(runner, run):
    return runner.run_row(Row("any", {}, run))


def test_sam_is_scored_as_it_is(runner, tmp_path, monkeypatch):
    """Its checkpoint has the tile that SAM's has: 64 patches a side."""
    monkeypatch.setattr("sac_wsi.reproduce.scale.Scale.side_px", 512)
    found = result(runner, Experiment("monuseg", "sam", "vit_nano", experts=2))
    assert found.checkpoint == str(tmp_path / "nano.pth")
    assert [image.name for image in found.scores.images] == ["a", "b", "c"]
    assert not found.dice_curve


@pytest.mark.parametrize("family", ["sac", "msa", "sam-ft"])
def test_over_weights_of_sam_what_the_paper_trains_is_trained(runner, tmp_path, family):
    run = Experiment("monuseg", family, "vit_nano", "O", 3, 1, "focal_dice")
    found = result(runner, run)
    assert len(found.scores.images) == 3
    assert found.seconds_per_epoch is not None
    assert len(found.dice_curve) == 1
    card = read_header(Path(found.checkpoint)).card
    assert (card.kind, card.base, card.size.family) == ("trained", "nano.pth", family)
    assert (card.inference.points.mode, card.inference.points.positive) == ("O", 3)
    assert runner.audit("monuseg").test == 3
    again = result(runner, run)
    assert again == found


def test_images_that_cannot_be_read(runner, tmp_path):
    (tmp_path / "test" / "images" / "b.png").write_bytes(b"no image")
    run = Experiment("monuseg", "unet", "")
    with pytest.raises(DataError, match=r"b\.png"):
        result(runner, run)
    left_out = []
    runner = RowRunner(
        STAMP, runner.inputs, tmp_path / "skipping", read_overrides([*QUICK, "data.skip_bad=true"])
    )
    object.__setattr__(runner.callbacks, "on_bad", left_out.append)
    assert [image.name for image in result(runner, run).scores.images] == ["a", "c"]
    assert len(left_out) == 1
    assert len(runner.audit("monuseg").unreadable) == 1


@pytest.mark.long
def test_everything_at_small_scale(sac, tmp_path):
    done = sac("reproduce", "all", *SMALL, cwd=tmp_path, timeout=600).went_well()
    for name, target in TARGETS.items():
        rows = rows_of(tmp_path, name)
        assert list(rows) == [row.label for row in target.rows]
        assert {row["status"] for row in rows.values()} <= {"ran", "quoted", "counted"}
        for row in rows.values():
            if row["status"] == "ran":
                assert all(
                    np.isfinite(float(row[key])) for key in ("f1", "iou", "dice", "aji", "pq", "f1_det")
                )
    assert len(set(events(done, "train"))) == len(events(done, "train")) // 2
    assert not list((tmp_path / OUT).rglob("state.pt"))


@pytest.mark.long
@pytest.mark.parametrize("name", TARGETS)
def test_each_target_alone_at_small_scale(sac, tmp_path, name):
    sac("reproduce", name, *SMALL, cwd=tmp_path, timeout=300).went_well()
