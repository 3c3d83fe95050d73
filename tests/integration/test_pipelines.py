import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sac_wsi.geometry import Box
from sac_wsi.model.checkpoint.card import Card, Training
from sac_wsi.model.checkpoint.file import load_model, save_checkpoint
from sac_wsi.model.checkpoint.header import read_header
from sac_wsi.model.nets.sac import build_model
from sac_wsi.model.nets.sizes import ModelSize, PrompterSize
from sac_wsi.slide.open import open_slide
from sac_wsi.store.run import Run
from sac_wsi.testing import SyntheticSlide, truncate
from sac_wsi.verify.check_run import verify_run

PIPELINES = Path(__file__).parents[2] / "pipelines"


def test_a_folder_of_slides_with_a_bad_one(tmp_path):
    slides, out = tmp_path / "slides", tmp_path / "out"
    slides.mkdir()
    for name in ("a", "b"):
        SyntheticSlide(seed=ord(name), shape_yx=(700, 800)).write_tiff(slides / f"{name}.tiff")
    truncate(slides / "b.tiff", 0.5)
    (slides / "notes.txt").write_text("no slide")
    command = [sys.executable, str(PIPELINES / "segment_folder.py"), str(slides), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "b.tiff" in done.stderr
    assert "notes" not in done.stderr
    assert "Traceback" not in done.stderr
    assert verify_run(out / "a.tiff.geojson").ok


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the message of a request that was refused with one line."""
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_folder_that_is_missing_or_has_no_slide(tmp_path):
    assert "There is no folder" in one_line(pipeline("segment_folder", tmp_path / "slids", tmp_path / "out"))
    (tmp_path / "notes.txt").write_text("no slide")
    assert "is a slide" in one_line(pipeline("segment_folder", tmp_path, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_folder_of_slides_with_settings(tmp_path):
    slides, out = tmp_path / "slides", tmp_path / "out"
    slides.mkdir()
    SyntheticSlide(seed=1, shape_yx=(400, 500)).write_tiff(slides / "a.tiff")
    settings = ("--mpp", "0.3", "--set", "grid.halo_um=19", "--set", "tissue=none")
    done = pipeline("segment_folder", slides, out, "--model", "classical", *settings)
    assert done.returncode == 0, done.stderr
    known = Run.open(out / "a.tiff.geojson").provenance
    assert known["model"]["name"] == "classical"
    assert known["slide"]["mpp"] == 0.3
    assert known["manifest"]["config"]["grid"]["halo_um"] == 19


def test_wrong_settings_for_a_folder_are_one_error(tmp_path):
    for name in ("a", "b"):
        SyntheticSlide(seed=1, shape_yx=(60, 60)).write_tiff(tmp_path / f"{name}.tiff")
    for wrong in (("--model", "sac-tinny"), ("--set", "grid.hallo_um=19")):
        one_line(pipeline("segment_folder", tmp_path, tmp_path / "out", *wrong))


def unet(folder: Path, name: str, seed: int, maps: int = 3, mpp: float = 0.5) -> Path:
    torch.manual_seed(seed)
    size = ModelSize("unet", tile_px=64, prompter=PrompterSize(4, maps))
    model = build_model(size)
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    terms = Training((name,), f"licence of {name}", non_commercial=name == "b")
    save_checkpoint(folder / name, model, Card(name, size, mpp, (0.2, 0.6), training=terms))
    return folder / name


def pipeline(name: str, *args: Path | str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PIPELINES / f"{name}.py"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def join_prompters(*args: Path) -> subprocess.CompletedProcess[str]:
    return pipeline("join_prompters", *args)


def test_two_joined_prompters_return_their_mean(tmp_path):
    paths = unet(tmp_path, "a", 0), unet(tmp_path, "b", 1), tmp_path / "joined"
    assert join_prompters(*paths).returncode == 0
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        one, other, both = (load_model(path)[0].maps(images) for path in paths)
    torch.testing.assert_close(both, (one + other) / 2)
    card = read_header(paths[2]).card
    assert card.size.prompter == PrompterSize(8, 3)
    assert (card.training.data, card.training.non_commercial) == (("a", "b"), True)
    assert card.training.licence == "licence of a; licence of b"


def test_prompters_that_cannot_be_joined(tmp_path):
    done = join_prompters(unet(tmp_path, "a", 0, maps=1), unet(tmp_path, "b", 1), tmp_path / "joined")
    assert done.returncode == 2
    assert "different maps (1 and 3)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "joined").exists()


def test_prompters_of_two_resolutions_are_not_joined(tmp_path):
    done = join_prompters(unet(tmp_path, "a", 0, mpp=0.25), unet(tmp_path, "b", 1), tmp_path / "joined")
    assert done.returncode == 2
    assert "made for 0.25 and" in done.stderr


def test_the_mean_of_weights(tmp_path):
    paths = [unet(tmp_path, name, seed) for seed, name in enumerate("abc")]
    out = tmp_path / "mean.safetensors"
    assert pipeline("average_weights", *paths, "--out", out).returncode == 0
    states = [load_model(path)[0].state_dict() for path in paths]
    found = load_model(out)[0].state_dict()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor.float(), sum(state[name].float() for state in states) / 3)
    card = read_header(out).card
    assert card.name == "mean"
    assert (card.training.data, card.training.non_commercial) == (("a", "b", "c"), True)
    assert card.training.licence == "licence of a; licence of b; licence of c"
    pipeline("average_weights", paths[0], "--out", out, "--licence", "CC-BY-NC-SA-4.0")
    terms = read_header(out).card.training
    assert (terms.licence, terms.non_commercial) == ("CC-BY-NC-SA-4.0", True)


def test_weights_that_cannot_be_averaged(tmp_path):
    out = tmp_path / "mean"
    done = pipeline("average_weights", unet(tmp_path, "a", 0), unet(tmp_path, "b", 1, maps=1), "--out", out)
    assert done.returncode == 2
    assert "b and " in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


def geojson_squares(path: Path, *squares: tuple[int, int, int]) -> Path:
    """Cut boxes given as x, y of the corner and the side, in level-0 pixels."""
    rings = [[[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]] for x, y, side in squares]
    features = [
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {}}
        for ring in rings
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def cut_boxes(folder: Path, *boxes: tuple[int, int, int]) -> subprocess.CompletedProcess[str]:
    SyntheticSlide(seed=1, shape_yx=(300, 400)).write_tiff(folder / "s.tiff")
    nuclei = geojson_squares(folder / "nuclei.json", (100, 50, 10), (118, 60, 4), (140, 70, 8), (300, 9, 5))
    none = geojson_squares(folder / "none.json", (130, 60, 100))
    drawn = geojson_squares(folder / "boxes.json", *boxes)
    paths = (folder / "s.tiff", nuclei, folder / "out")
    return pipeline("cut_boxes", *paths, "--boxes", drawn, "--without", none, "--name", "a")


def test_a_box_has_the_slides_pixels_and_the_nuclei_that_lie_in_it(tmp_path):
    done = cut_boxes(tmp_path, (90, 40, 30), (120, 60, 40))
    assert done.returncode == 0, done.stderr
    expected = np.zeros((30, 30), np.uint16)
    expected[10:20, 10:20] = 1
    expected[20:24, 28:30] = 2  # the box cuts it
    labels = tmp_path / "out" / "labels"
    assert (np.asarray(Image.open(labels / "a_x90_y40_30x30.png")) == expected).all()
    second = np.asarray(Image.open(labels / "a_x120_y60_40x40.png"))
    assert second[:4, :2].all()
    assert second.sum() == 8  # the nucleus at 140, 70 lies in an area marked as having none
    with open_slide(tmp_path / "s.tiff") as slide:
        pixels = slide.read_level(0, Box(40, 90, 70, 120))
    assert (np.asarray(Image.open(tmp_path / "out" / "images" / "a_x90_y40_30x30.png")) == pixels).all()


def test_cut_boxes_can_be_packed(tmp_path):
    assert cut_boxes(tmp_path, (90, 40, 30), (120, 60, 40)).returncode == 0
    folders = ("--folders", tmp_path / "out" / "images", tmp_path / "out" / "labels", "--mpp", "0.5")
    done = pipeline("pack_training", tmp_path / "p.zip", *folders, "--licence", "CC0-1.0")
    assert done.returncode == 0, done.stderr
    assert "2 images" in done.stdout


def test_a_box_beside_the_slide_is_refused(tmp_path):
    done = cut_boxes(tmp_path, (500, 500, 30))
    assert done.returncode == 2
    assert "400 x 300 (width x height)" in done.stderr
    assert "Traceback" not in done.stderr


def test_boxes_of_another_slide_are_not_overwritten(tmp_path):
    assert cut_boxes(tmp_path, (90, 40, 30)).returncode == 0
    labels = tmp_path / "out" / "labels"
    (labels / "a_x90_y40_30x30.png").write_bytes(b"mended")
    done = cut_boxes(tmp_path, (0, 0, 20), (90, 40, 30))
    assert done.returncode == 2
    assert "--name" in done.stderr
    assert [(path.name, path.read_bytes()) for path in labels.iterdir()] == [
        ("a_x90_y40_30x30.png", b"mended")
    ]


def test_a_box_may_be_without_nuclei_and_share_a_corner(tmp_path):
    assert cut_boxes(tmp_path, (-5, -5, 20), (0, 0, 30)).returncode == 0
    found = {path.name: np.asarray(Image.open(path)) for path in (tmp_path / "out" / "labels").iterdir()}
    assert sorted(found) == ["a_x0_y0_15x15.png", "a_x0_y0_30x30.png"]
    assert not any(labels.any() for labels in found.values())
    none = geojson_squares(tmp_path / "nothing.json")
    paths = (tmp_path / "s.tiff", none, tmp_path / "again")
    assert (
        pipeline("cut_boxes", *paths, "--boxes", tmp_path / "boxes.json", "--without", none).returncode == 0
    )


def test_invalid_boxes(tmp_path):
    done = cut_boxes(tmp_path)
    assert done.returncode == 2
    assert "needed a rectangle" in done.stderr
    empty = {"type": "Polygon", "coordinates": []}
    (tmp_path / "empty.json").write_text(json.dumps(empty))
    paths = (tmp_path / "s.tiff", tmp_path / "nuclei.json", tmp_path / "out")
    done = pipeline("cut_boxes", *paths, "--boxes", tmp_path / "empty.json")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


def a_pack(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    images, labels = folder / "images", folder / "labels"
    for each in (images, labels):
        each.mkdir()
    for i in range(3):
        Image.fromarray(rng.integers(0, 256, (96, 96, 3), np.uint8)).save(images / f"{i}.png")
        label = np.zeros((96, 96), np.uint16)
        label[20:40, 20:40], label[50:70, 55:75] = 1, 2
        Image.fromarray(label).save(labels / f"{i}.png")
    done = pipeline("pack_training", folder / "p.zip", "--folders", images, labels, "--mpp", "0.25")
    assert done.returncode == 0, done.stderr
    return folder / "p.zip"


def test_train_for_minutes(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(
        "licence: CC0-1.0\nsize: {family: unet, tile_px: 64, prompter: {width: 2, maps: 3}}\nhalo_um: 4\n"
        "schedule: {epoch_steps: 2, batch: 1, crop_px: 32}\n"
        "objective: {part: prompter}\ninference: {mode: prompter}\ndata: {kind: pack}\n"
    )
    pack = a_pack(tmp_path)
    arguments = (config, tmp_path / "out", "--minutes", "0.02", "--set", f"data.images={pack}")
    done = pipeline("train_for_minutes", *arguments)
    assert done.returncode == 0, done.stderr
    half = tmp_path / "out" / "best_half.safetensors"
    _, header = load_model(half)
    assert header.card.training.steps > 0
    assert half.stat().st_size < 100_000
    assert '"kind": "validation"' in done.stdout
    refused = pipeline("train_for_minutes", config, tmp_path / "x", "--minutes", "0")
    assert refused.returncode == 1
    assert "--minutes is 0: needed more than 0" in refused.stderr


def test_the_sheet_of_augmentations(tmp_path):
    pack, sheet = a_pack(tmp_path), tmp_path / "sheet.png"
    done = pipeline("augmentation_sheet", pack, sheet, "--columns", "2", "--crop-px", "64")
    assert done.returncode == 0, done.stderr
    with Image.open(sheet) as picture:
        assert picture.size[0] > 128
    assert "Pass --overwrite" in pipeline("augmentation_sheet", pack, sheet).stderr


def test_a_pretrained_prompter_is_read_from_a_wheel(tmp_path):
    from sac_wsi.model.nets.lite import LiteEncoder

    state = {f"layer{i}": value for i, value in enumerate(LiteEncoder().state_dict().values())}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with zipfile.ZipFile(tmp_path / "w.whl", "w") as wheel:
        wheel.writestr("models/lite0.pth", buffer.getvalue())
    done = pipeline("pretrained_prompter", tmp_path / "w.whl", tmp_path / "s.safetensors", "--tile-px", "64")
    assert done.returncode == 0, done.stderr
    model, header = load_model(tmp_path / "s.safetensors")
    assert header.card.training.licence == "Apache-2.0"
    kept = model.prompter.encoder.state_dict()["stages.1.0.layers.0.0.weight"]
    assert any(torch.equal(kept, value) for value in state.values())
    with zipfile.ZipFile(tmp_path / "empty.whl", "w"):
        pass
    refused = pipeline("pretrained_prompter", tmp_path / "empty.whl", tmp_path / "t.safetensors")
    assert "holds 0 .pth files: needed one" in refused.stderr
