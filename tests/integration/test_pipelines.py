import subprocess
import sys
from pathlib import Path

import torch

from sac_wsi.model.card import Card, Training
from sac_wsi.model.checkpoint import load_model, read_header, save_checkpoint
from sac_wsi.model.sac import build_model
from sac_wsi.model.sizes import ModelSize, PrompterSize
from sac_wsi.testing import SyntheticSlide, truncate
from sac_wsi.verify import verify_run

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


def test_two_joined_prompters_say_their_mean(tmp_path):
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
    pipeline("average_weights", *paths, "--out", out, "--licence", "CC-BY-NC-SA-4.0")
    assert read_header(out).card.training.licence == "CC-BY-NC-SA-4.0"


def test_weights_of_which_there_is_no_mean(tmp_path):
    out = tmp_path / "mean"
    done = pipeline("average_weights", unet(tmp_path, "a", 0), unet(tmp_path, "b", 1, maps=1), "--out", out)
    assert done.returncode == 2
    assert "b and " in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()
