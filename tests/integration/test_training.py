"""A run of a few steps: resumable to the bit, and what it makes runs on a slide."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from sac_wsi import load_config, segment_slide
from sac_wsi.config import read_settings
from sac_wsi.errors import CheckpointError, ConfigError, SacWsiError
from sac_wsi.model.checkpoint import load_model, read_header
from sac_wsi.model.sam import build_sam
from sac_wsi.testing import SyntheticSlide
from sac_wsi.train.config import TrainConfig
from sac_wsi.train.images import SyntheticImages
from sac_wsi.train.loop import train
from sac_wsi.typed import build

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "configs" / "train" / "smoke.yaml"
IMAGES, HELD_BACK = SyntheticImages(4, 192, 0.5, 0), SyntheticImages(1, 192, 0.5, 99)


def smoke(folder, *overrides):
    small = ("schedule.steps=6", "schedule.validate_every=2", "objective.points=2")
    return build(TrainConfig, read_settings(SMOKE, [f"output_dir={folder}", *small, *overrides]))


def run(folder, *overrides, digest="a"):
    return train(smoke(folder, *overrides), IMAGES, HELD_BACK, digest=digest)


def curve(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {(line["kind"], line["step"]): line["losses"] for line in lines}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return folder


def test_stopped_and_resumed_is_the_same_curve_and_the_same_weights(whole, tmp_path):
    for _ in range(20):
        run(tmp_path, "schedule.minutes=0.0001")  # one step a call
    assert (tmp_path / "last.safetensors").read_bytes() == (whole / "last.safetensors").read_bytes()
    assert (tmp_path / "best.safetensors").read_bytes() == (whole / "best.safetensors").read_bytes()
    validation = {key: value for key, value in curve(whole).items() if key[0] == "validation"}
    assert len(validation) == 3
    assert {key: value for key, value in curve(tmp_path).items() if key[0] == "validation"} == validation


def test_killed_and_resumed_is_the_same(whole, tmp_path):
    command = [str(Path(sys.executable).with_name("sac-wsi")), "train", str(SMOKE)]
    for setting in (f"output_dir={tmp_path}", "schedule.steps=6", "schedule.validate_every=2"):
        command += ["--set", setting]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "state.pt").exists():
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "best.safetensors" in done.stdout
    kinds = [json.loads(line)["kind"] for line in done.stderr.splitlines()]
    assert kinds.count("validation") <= 2


@pytest.mark.parametrize(
    ("family", "part"), [("unet", "prompter"), ("sam-ft", "both"), ("msa", "both"), ("sac", "sac")]
)
def test_every_rival_learns_with_the_same_loop(tmp_path, family, part):
    changes = (
        "schedule.steps=2",
        f"size.family={family}",
        f"objective.part={part}",
        "inference.way=prompter",
    )
    best = run(tmp_path, *changes)
    assert read_header(best).card.size.family == family
    assert {kind for kind, _ in curve(tmp_path)} == {"train", "validation"}


def test_over_weights_of_sam_only_what_the_paper_trains_learns(tmp_path):
    torch.manual_seed(5)
    sam = build_sam("vit_nano", 128)
    torch.save(sam.state_dict(), tmp_path / "sam.pth")
    last = run(tmp_path / "out", "schedule.steps=2", f"base={json.dumps(str(tmp_path / 'sam.pth'))}")
    model, header = load_model(last, tmp_path / "sam.pth")
    assert header.card.kind == "trained"
    moved = {
        name for name, value in sam.state_dict().items() if not torch.equal(value, model.state_dict()[name])
    }
    assert moved
    assert not [name for name in moved if name.startswith("image_encoder.")]


def test_another_config_does_not_go_on(whole):
    with pytest.raises(CheckpointError, match="another config"):
        run(whole, digest="b")


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_state(tmp_path):
    with pytest.raises(SacWsiError, match=r"no number any more at step \d"):
        run(tmp_path, "schedule.learning_rate=1e30", "schedule.clip_norm=1e30", "schedule.warmup_steps=0")


def test_what_was_trained_runs_on_a_slide(whole, tmp_path):
    SyntheticSlide(seed=4, shape_yx=(200, 260), mpp=0.5).write_tiff(tmp_path / "s.tiff")
    settings = [f"model={json.dumps(str(whole / 'best.safetensors'))}", "tissue=none"]
    made = segment_slide(tmp_path / "s.tiff", tmp_path / "n.geojson", config=load_config(overrides=settings))
    assert made.provenance["model"]["name"] == "smoke"


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("shedule.steps=3", "Did you mean schedule"),
        ("schedule.step=3", r"Did you mean schedule\.steps"),
        ("schedule.steps=0", "at least 1"),
        ("schedule.ema=1", "below 1"),
        ("size.family=sam", "learns nothing"),
        ("size.family=unet", "objective.part=prompter"),
        ("size.family=sacc", "Did you mean sac"),
        ("data.kind=pack", "data.path"),
        ("objective.mask_loss=dice", "Did you mean dice_ce"),
        ("augment.scale=-1", r"augment\.scale"),
    ],
)
def test_settings_that_do_not_fit(tmp_path, setting, told):
    with pytest.raises(ConfigError, match=told):
        smoke(tmp_path, setting)


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "train").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_training_config_loads(path):
    build(TrainConfig, read_settings(path, []))
