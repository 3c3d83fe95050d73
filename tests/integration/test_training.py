"""Test runs of a few steps: resumed runs give identical weights, and checkpoints segment slides."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sac_wsi import load_config, segment_slide
from sac_wsi.datasets.folders import open_folders
from sac_wsi.datasets.images import SyntheticImages
from sac_wsi.datasets.pack import write_pack
from sac_wsi.datasets.split import with_validation
from sac_wsi.errors import CheckpointError, ConfigError, DataError, InputChanged, SacWsiError, WriteError
from sac_wsi.model.checkpoint.card import Card
from sac_wsi.model.checkpoint.file import load_model, save_checkpoint
from sac_wsi.model.checkpoint.header import read_header
from sac_wsi.model.nets.sac import build_model
from sac_wsi.model.nets.sam import build_sam
from sac_wsi.model.nets.sizes import ModelSize, PrompterSize
from sac_wsi.settings.read import read_settings
from sac_wsi.settings.typed import build
from sac_wsi.testing import SyntheticSlide
from sac_wsi.testing.datasets import make_dsb, make_folders, make_glas
from sac_wsi.train import loop, validator
from sac_wsi.train.config import TrainConfig
from sac_wsi.train.initial_state import create_state
from sac_wsi.train.log import Listener
from sac_wsi.train.loop import train
from sac_wsi.train.ranks import Ranks
from sac_wsi.train.source import open_source

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "configs" / "train" / "smoke.yaml"


def smoke(folder, *overrides):
    small = (
        "data.count=4",
        "data.side_px=192",
        "schedule.epochs=3",
        "schedule.epoch_steps=2",
        "objective.nuclei=2",
        "inference.mode=prompter",
    )
    return build(TrainConfig, read_settings(SMOKE, [f"output_dir={folder}", *small, *overrides]))


def run(folder, *overrides, **how):
    config = smoke(folder, *overrides)
    return train(config, open_source(config.data, config.mpp, config.size.tile_px), **how)


def curve(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {(line["kind"], line["step"]): line["values"] for line in lines}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Use one thread, as torchrun does: sums have the same order, and parallel tests do not share cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert run(folder).complete
    return folder


def test_stopped_and_resumed_run_gives_the_same_curve_and_weights(whole, tmp_path):
    while not run(tmp_path, "schedule.minutes=0.0001").complete:  # one step a call
        pass
    assert (tmp_path / "last.safetensors").read_bytes() == (whole / "last.safetensors").read_bytes()
    assert (tmp_path / "best.safetensors").read_bytes() == (whole / "best.safetensors").read_bytes()
    validation = {key: value for key, value in curve(whole).items() if key[0] == "validation"}
    assert len(validation) == 3
    assert {key: value for key, value in curve(tmp_path).items() if key[0] == "validation"} == validation
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events if event["kind"] == "train"] == [1, 2, 3, 4, 5, 6]
    seconds = [event["seconds"] for event in events]
    assert seconds == sorted(seconds)


def test_killed_and_resumed_run_gives_the_same_weights(whole, tmp_path):
    command = [str(Path(sys.executable).with_name("sac-wsi")), "train", str(SMOKE)]
    for setting in (f"output_dir={tmp_path}", "schedule.epochs=3", "schedule.epoch_steps=2"):
        command += ["--set", setting]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "state.pt").exists():
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "best.safetensors" in done.stdout
    kinds = [json.loads(line)["kind"] for line in done.stderr.splitlines() if line.startswith("{")]
    assert kinds.count("validation") <= 2


@pytest.mark.parametrize(
    ("family", "part"), [("unet", "prompter"), ("sam-ft", "both"), ("msa", "both"), ("sac", "both")]
)
def test_every_model_family_trains_with_the_same_loop(tmp_path, family, part):
    changes = (
        "schedule.epochs=1",
        f"size.family={family}",
        f"objective.part={part}",
    )
    best = run(tmp_path, *changes).best
    assert read_header(best).card.size.family == family
    assert {kind for kind, _ in curve(tmp_path)} == {"train", "validation"}


def test_on_weights_of_sam_only_the_parts_of_the_paper_are_trained(tmp_path):
    torch.manual_seed(5)
    sam = build_sam("vit_nano", 128)
    torch.save(sam.state_dict(), tmp_path / "sam.pth")
    base = f"base={json.dumps(str(tmp_path / 'sam.pth'))}"
    best = run(tmp_path / "out", "schedule.epochs=1", base).best
    model, header = load_model(best, tmp_path / "sam.pth")
    assert header.card.kind == "trained"
    moved = {
        name for name, value in sam.state_dict().items() if not torch.equal(value, model.state_dict()[name])
    }
    assert moved
    assert not [name for name in moved if name.startswith("image_encoder.")]


def test_missing_weights_of_sam_are_an_error(tmp_path):
    with pytest.raises(CheckpointError, match=r"no file sam_vit_l.*models fetch sam_vit_l"):
        run(tmp_path, "base=sam_vit_l")


def test_run_with_other_settings_is_refused(whole):
    with pytest.raises(InputChanged, match=r"schedule\.learning_rate 0\.001, and it is 0\.002 now"):
        run(whole, "schedule.learning_rate=0.002")
    assert run(whole, "schedule.minutes=5").complete  # a setting of the call, not of the run


def test_run_with_other_images_is_refused(folders):
    (folders / "images" / "2.png").unlink()
    (folders / "labels" / "2.npy").unlink()
    run(folders / "out", *in_folders(folders))
    (folders / "images" / "0.png").rename(folders / "images" / "7.png")
    (folders / "labels" / "0.npy").rename(folders / "labels" / "7.npy")
    with pytest.raises(CheckpointError, match="other images"):
        run(folders / "out", *in_folders(folders))


def test_run_resumes_after_its_images_were_moved(folders, tmp_path):
    (folders / "images" / "2.png").unlink()
    (folders / "labels" / "2.npy").unlink()
    for at in ("images", "labels"):
        shutil.copytree(folders / at, tmp_path / "elsewhere" / at)
    run(folders / "out", *in_folders(folders), "schedule.minutes=0.0001")
    shutil.copytree(folders / "out", tmp_path / "carried")
    assert run(tmp_path / "carried", *in_folders(tmp_path / "elsewhere")).complete


def test_saved_config_can_be_trained_unchanged(whole):
    assert build(TrainConfig, read_settings(whole / "config.json", [])).name == "smoke"


def test_a_loss_of_nan_stops_the_run_and_keeps_the_last_state(tmp_path):
    with pytest.raises(SacWsiError, match=r"became NaN or infinite at step \d"):
        run(tmp_path, "schedule.learning_rate=1e30", "schedule.clip_norm=1e30", "schedule.warmup_steps=0")


def test_weights_with_nan_are_neither_validated_nor_saved(tmp_path):
    wild = ("schedule.learning_rate=1e30", "schedule.clip_norm=1e30", "schedule.warmup_steps=0")
    with pytest.raises(SacWsiError, match="became NaN or infinite"):
        run(tmp_path, "schedule.epoch_steps=1", *wild)
    assert not list(tmp_path.glob("*.safetensors"))
    assert not (tmp_path / "state.pt").exists()
    assert run(tmp_path).complete  # no weights were saved: other settings may use the folder


def test_averaged_weights_are_restored_from_the_state(tmp_path):
    """Loaded values are copied into the existing tensors, also on a GPU."""
    config = smoke(tmp_path)
    state = create_state(config, "cpu")
    tensors = dict(state.average)
    state.save(tmp_path / "s.pt", "a")
    state.load(tmp_path / "s.pt", "a")
    assert all(state.average[name] is tensor for name, tensor in tensors.items())


def test_state_does_not_contain_frozen_weights_of_sam(tmp_path):
    torch.save(build_sam("vit_nano", 128).state_dict(), tmp_path / "sam.pth")
    base = f"base={json.dumps(str(tmp_path / 'sam.pth'))}"
    run(tmp_path / "out", "schedule.minutes=0.0001", base)
    held = torch.load(tmp_path / "out" / "state.pt", weights_only=True)
    assert "image_encoder.patch_embed.proj.weight" not in held["model"]
    assert "prompter.out.weight" in held["model"].keys() & held["average"].keys()
    torch.manual_seed(99)  # other random weights
    torch.save(build_sam("vit_nano", 128).state_dict(), tmp_path / "sam.pth")
    with pytest.raises(CheckpointError, match="other images, another split or another file of SAM"):
        run(tmp_path / "out", base)


def test_weights_keep_the_licence_of_the_start_checkpoint(folders):
    (folders / "images" / "2.png").unlink()
    (folders / "labels" / "2.npy").unlink()
    theirs = open_folders(
        folders / "images", folders / "labels", mpp=0.5, name="theirs", licence="CC-BY-NC-4.0"
    )
    write_pack(folders / "p.zip", [with_validation(theirs)])
    pack = ("data.kind=pack", f"data.images={folders / 'p.zip'}")
    first = run(folders / "1", "schedule.epochs=1", *pack).best
    then = run(folders / "2", "schedule.epochs=1", f"start={json.dumps(str(first))}").best
    training = read_header(then).card.training
    assert training.data == ("theirs", "synthetic")
    assert training.licence == "CC-BY-NC-4.0; CC0-1.0"
    assert training.non_commercial


def test_trained_checkpoint_segments_a_slide(whole, tmp_path):
    SyntheticSlide(seed=4, shape_yx=(200, 260), mpp=0.5).write_tiff(tmp_path / "s.tiff")
    settings = [f"model={json.dumps(str(whole / 'best.safetensors'))}", "tissue=none"]
    made = segment_slide(tmp_path / "s.tiff", tmp_path / "n.geojson", config=load_config(overrides=settings))
    assert made.provenance["model"]["name"] == "smoke"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("shedule.epochs=3", "Did you mean schedule"),
        ("schedule.epoch=3", r"Did you mean schedule\.epoch"),
        ("schedule.epochs=0", "at least 1"),
        ("schedule.crop_px=64", "only a prompter alone"),
        ("schedule.best_by=dise", "Did you mean dice"),
        ("objective.experts=-1", r"objective\.experts is -1: needed at least 0\."),
        ("data.val_share=1", r"data\.val_share is 1\.0: needed at least 0 and below 1\."),
        ("schedule.ema=1", r"schedule\.ema is 1\.0: needed at least 0 and below 1\."),
        ("size.family=sam", "which is not trained"),
        ("size.family=unet", "objective.part=prompter"),
        ("size.family=sacc", "Did you mean sac"),
        ("objective.mask_loss=dice", "Did you mean dice_ce"),
        ("schedule.patience=-1", "at least 0"),
        ("mpp=5", "within mpp_range"),
        ("halo_um=40", r"size\.tile_px"),
        ("objective.part=sac", "stay random"),
        ("augment.scale=-1", r"augment\.scale"),
        ("size={family: msa, over_prompter: true}", "over_prompter goes with family sac"),
        ("size={family: sac, encoder: vit_nano, over_prompter: true}", "prompter first, then sac"),
    ],
)
def test_invalid_settings_are_named(tmp_path, setting, message):
    with pytest.raises(ConfigError, match=message):
        smoke(tmp_path, setting)


def test_finished_run_writes_report_and_scores(whole):
    page = (whole / "report.html").read_text()
    assert "Training of smoke" in page
    assert page.count("data:image/jpeg") == 1  # one image to validate on: not shown as best and as worst
    scores = json.loads((whole / "scores.json").read_text())
    best = read_header(whole / "best.safetensors").card
    assert scores["mean"]["pq"] == pytest.approx(best.metrics["validation_pq"])
    assert best.training.licence == "CC0-1.0"
    assert best.training.data == ("synthetic",)


def test_sac_over_prompter_refuses_weights_of_sam(tmp_path):
    over = "size={family: sac, encoder: vit_b, over_prompter: true}"
    with pytest.raises(ConfigError, match=r"encoder does not have: needed base='', found 'sam_vit_b'"):
        smoke(tmp_path, over, "base=sam_vit_b")


def test_training_with_the_prompts_of_the_paper(tmp_path):
    """Train without points, with automatic and expert points, and with one expert point."""
    for at, settings in enumerate(
        (
            ("objective.auto=false",),
            ("inference.points.positive=3", "inference.points.negative=3", "objective.experts=2"),
            ("inference.points.mode=R", "objective.auto=false", "objective.experts=1", "objective.nuclei=0"),
        )
    ):
        done = run(tmp_path / str(at), "schedule.epochs=1", "inference.mode=semantic", *settings)
        assert done.complete


def test_prompter_is_trained_first_then_the_other_parts(tmp_path):
    first = run(tmp_path / "1", "schedule.epochs=1", "objective.part=prompter").best
    start = f"start={json.dumps(str(first))}"
    then = run(tmp_path / "2", "schedule.epochs=1", "objective.part=sac", start).best
    before, after = load_model(first)[0].state_dict(), load_model(then)[0].state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not [name for name in changed if name.startswith("prompter.")]


def test_a_sac_over_its_prompter(tmp_path):
    """It stops and resumes; it needs a trained prompter; another kind of decoder is not copied."""
    size = "family: sac, encoder: vit_nano, tile_px: 128, prompter: {width: 8, maps: 3}"
    over = f"size={{{size}, over_prompter: true}}"
    first = run(tmp_path / "1", "schedule.epochs=1", f"size={{{size}}}").best
    start, sac = f"start={json.dumps(str(first))}", "objective.part=sac"
    with pytest.raises(ConfigError, match="would stay random"):
        smoke(tmp_path, over, sac, "objective.auto=false")
    whole = run(tmp_path / "2", "schedule.epochs=1", over, sac, start)
    assert whole.complete
    while not run(tmp_path / "3", "schedule.epochs=1", "schedule.minutes=0.0001", over, sac, start).complete:
        pass
    for name in ("best.safetensors", "last.safetensors"):
        assert (tmp_path / "2" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()
    before = create_state(smoke(tmp_path, over, sac, start), "cpu").model.state_dict()
    held = load_model(first)[0].state_dict()
    assert not before["mask_decoder.output_hypernetworks_mlps.0.layers.2.weight"].any()
    assert all(
        torch.equal(before[name], value) for name, value in held.items() if name.startswith("prompter.")
    )


def test_prompter_of_another_size_cannot_be_copied(tmp_path):
    first = run(tmp_path / "1", "schedule.epochs=1", "size.family=unet", "objective.part=prompter").best
    start = f"start={json.dumps(str(first))}"
    other = ("size.family=unet", "objective.part=prompter", "size.prompter.width=6")
    with pytest.raises(CheckpointError, match="no prompter of the size"):
        run(tmp_path / "3", start, "objective.part=sac", "size.prompter.width=6")
    with pytest.raises(CheckpointError, match="no part of the sizes"):
        run(tmp_path / "2", start, *other)


def test_patience_ends_a_run_but_not_before_its_least_epochs(tmp_path, monkeypatch):
    monkeypatch.setattr(validator, "image_means", lambda images: {"pq": 0.5})  # never better
    calm = ("schedule.epochs=6", "schedule.patience=1", "schedule.best_by=pq")
    assert run(tmp_path / "1", *calm).step == 4
    assert run(tmp_path / "2", *calm, "schedule.least_epochs=4").step == 8


def test_gradient_checkpointing_does_not_change_the_weights(tmp_path):
    runs = [
        run(tmp_path / kept, "schedule.epochs=1", f"schedule.checkpointing={kept}")
        for kept in ("false", "true")
    ]
    plain, twice = (load_model(done.best)[0].state_dict() for done in runs)
    for name, value in plain.items():
        torch.testing.assert_close(value, twice[name])


@pytest.fixture
def folders(tmp_path):
    """Four pictures with labels; one of them is not a picture."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    made = SyntheticImages(4, 160, 0.5, 0)
    for i in range(4):
        image = made.read(i)
        Image.fromarray(image.rgb).save(tmp_path / "images" / f"{i}.png")
        np.save(tmp_path / "labels" / f"{i}.npy", image.labels)
    (tmp_path / "images" / "2.png").write_bytes(b"\x89PNG broken")
    return tmp_path


def in_folders(where, *settings):
    named = ("kind=folders", f"images={where / 'images'}", f"labels={where / 'labels'}", "mpp=0.5", *settings)
    return ("schedule.epochs=1", *(f"data.{one}" for one in named))


def test_unreadable_image_stops_the_run_and_is_named(folders):
    with pytest.raises(DataError, match=r"2\.png.*--skip-bad"):
        run(folders / "out", *in_folders(folders))


def test_unreadable_image_is_skipped_and_named_once(folders):
    bad = []
    done = run(folders / "out", *in_folders(folders, "skip_bad=true"), listener=Listener(on_bad=bad.append))
    assert done.complete
    assert len(bad) == 1
    assert "2.png" in bad[0]


def test_images_are_scaled_to_the_resolution_of_the_model(folders):
    for settings, zoom in (
        (("skip_bad=true",), 1.0),
        (("skip_bad=true", "mpp=0.25"), 0.5),
        (("skip_bad=true", "mpp=0.25", "scale=as_is"), 1.0),
        (("skip_bad=true", "mpp=0.25", "scale=fit"), 128 / 160),
    ):
        config = smoke(folders / "out", *in_folders(folders, *settings))
        images = open_source(config.data, config.mpp, config.size.tile_px).part("train")
        assert images.read(0).zoom == zoom


def test_images_of_unknown_resolution_are_scaled_by_nuclei_or_refused(folders):
    unknown = [one for one in in_folders(folders, "skip_bad=true") if one != "data.mpp=0.5"]
    with pytest.raises(ConfigError, match=r"nucleus_um"):
        run(folders / "out", *unknown)
    config = smoke(folders / "out", *unknown, "data.nucleus_um=8")
    images = open_source(config.data, config.mpp, config.size.tile_px).part("train")
    image = images.read(0)
    areas = np.unique(image.labels, return_counts=True)[1][1:]
    diameter_um = np.sqrt(4 * np.median(areas) / np.pi) * image.zoom * config.mpp
    assert diameter_um == pytest.approx(8)


def test_an_empty_part_is_named(folders):
    with pytest.raises(DataError, match="val"):
        run(folders / "out", *in_folders(folders, "skip_bad=true", "val_share=0"))


def test_a_pack_trains_and_names_its_licence(folders):
    (folders / "images" / "2.png").unlink()
    (folders / "labels" / "2.npy").unlink()
    sets = [
        with_validation(
            open_folders(folders / "images", folders / "labels", mpp=0.5, name=name, licence=licence)
        )
        for name, licence in (("ours", "CC0-1.0"), ("theirs", "CC-BY-NC-SA-4.0"))
    ]
    write_pack(folders / "p.zip", sets)
    pack = ("schedule.epochs=1", "data.kind=pack", f"data.images={folders / 'p.zip'}")
    both = read_header(run(folders / "both", *pack).best).card.training
    assert both.non_commercial
    assert both.licence == "CC0-1.0; CC-BY-NC-SA-4.0"
    one = read_header(run(folders / "one", *pack, "data.only=[ours]").best).card.training
    assert (one.data, one.licence, one.non_commercial) == (("ours",), "CC0-1.0", False)
    with pytest.raises(DataError, match=r"data\.only.*ours, theirs"):
        run(folders / "none", *pack, "data.only=[our]")


@pytest.mark.parametrize("devices", [1, 2])
def test_torchrun(whole, tmp_path, devices):
    """One process gives the same run; two share each batch and have the same weights."""
    launcher = str(Path(sys.executable).with_name("torchrun"))
    program = str(Path(sys.executable).with_name("sac-wsi"))
    command = [launcher, "--nproc-per-node", str(devices), "--no-python", program, "train", str(SMOKE)]
    for setting in (f"output_dir={tmp_path}", "data.count=4", "data.side_px=192", "objective.nuclei=2"):
        command += ["--set", setting]
    for setting in ("schedule.epochs=3", "schedule.epoch_steps=2", "inference.mode=prompter"):
        command += ["--set", setting]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("checkpoint") == 1
    mine, alone = curve(tmp_path), curve(whole)
    assert mine.keys() == alone.keys()
    for key, values in alone.items():
        for name in values.keys() & {"maps", "semantic", "loss_maps"}:
            # batch norm sees half a batch on each of two devices
            assert mine[key][name] == pytest.approx(values[name], rel=1e-5 if devices == 1 else 0.25)


def test_batch_must_be_a_multiple_of_the_number_of_devices(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "join", lambda: nullcontext(Ranks(0, 3, "cpu")))
    with pytest.raises(ConfigError, match=r"schedule\.batch is 2 on 3 devices"):
        run(tmp_path)


@contextmanager
def largest_file(limit):
    """Limit the size of files of this process, as a full disk does."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_a_full_disk_keeps_the_last_state(whole, tmp_path):
    run(tmp_path, "schedule.minutes=0.0001")
    before = (tmp_path / "state.pt").read_bytes()
    with largest_file(20_000), pytest.raises(WriteError, match=r"Free some space"):
        run(tmp_path)
    assert (tmp_path / "state.pt").read_bytes() == before
    assert not list(tmp_path.glob(".*partial"))
    run(tmp_path)
    assert (tmp_path / "best.safetensors").read_bytes() == (whole / "best.safetensors").read_bytes()


@pytest.fixture
def data_of(tmp_path):
    """Write small images of each kind in their official layout and return their settings."""

    def make(kind):
        root = tmp_path / kind
        if kind == "dsb":
            return {"images": str(make_dsb(root, [f"{i:02}" for i in range(10)]))}
        if kind == "glas":
            return {"images": str(make_glas(root))}
        if kind == "synthetic":
            return {"count": 2, "side_px": 128}
        names = ("TCGA-18-5592-01Z-00-DX1", "TCGA-B0-5711-01Z-00-DX1", "TCGA-G9-6336-01Z-00-DX1")
        images, labels = make_folders(root, names)
        if kind == "pack":
            write_pack(root / "p.zip", [with_validation(open_folders(images, labels, name="tnbc", mpp=0.25))])
            return {"images": str(root / "p.zip"), "only": [], "shares": {"tnbc": 1.0}}
        return {"images": str(images), "labels": str(labels)}

    return make


def a_prompter(folder, size):
    """Return the checkpoint that the earlier config would have made."""
    size = ModelSize("unet", tile_px=128, prompter=PrompterSize(**size))
    path = folder / "prompter.safetensors"
    save_checkpoint(path, build_model(size), Card("prompter", size, 0.25, (0.1, 1.0)))
    return str(path)


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "train").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_training_config_trains_one_step(path, tmp_path, data_of):
    """Train on images of the kind of the config; replace encoders that are too large by a tiny one."""
    build(TrainConfig, read_settings(path, []))
    short = ["schedule.epochs=1", "schedule.epoch_steps=1", "schedule.batch=1", "schedule.crop_px=0"]
    small = ["size.tile_px=128", "halo_um=4", 'base=""', f"output_dir={tmp_path / 'out'}"]
    settings = read_settings(path, [*short, *small])
    settings["data"] |= data_of(settings["data"]["kind"])
    if settings["size"]["family"] != "unet":
        settings["size"]["encoder"] = "vit_nano"
    if "start" in settings:
        settings["start"] = a_prompter(tmp_path, settings["size"]["prompter"])
    config = build(TrainConfig, settings)
    assert train(config, open_source(config.data, config.mpp, config.size.tile_px)).complete
