"""Compare results on a CUDA device with those on the CPU. Skipped without such a device."""

import json
import math
from pathlib import Path

import pytest
import torch

from sac_wsi.model.nets.sac import build_model
from sac_wsi.model.nets.sizes import ModelSize, PrompterSize
from sac_wsi.settings.read import read_settings
from sac_wsi.settings.typed import build
from sac_wsi.train.config import TrainConfig
from sac_wsi.train.loop import train
from sac_wsi.train.source import open_source

SMOKE = Path(__file__).parents[2] / "configs" / "train" / "smoke.yaml"

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(ModelSize("sac", "vit_tiny", 512, prompter=PrompterSize(width=8, maps=3))).eval()


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 512, 512, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-3), (torch.bfloat16, 0.1)])
def test_encoder_prompter_and_decoder_agree_with_the_cpu(model, images, dtype, tolerance):
    xy, labels = torch.tensor([[[100.0, 200.0]]]).expand(2, -1, -1), torch.ones(2, 1)
    answers = []
    for device in ("cpu", "cuda"):
        on = model.to(device)
        mixed = device == "cuda" and dtype == torch.bfloat16
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=mixed):
            masks = on(images.to(device), xy.to(device), labels.to(device))
            answers.append((masks.float().cpu(), on.maps(images.to(device)).float().cpu()))
    for ours, theirs in zip(*answers, strict=True):
        assert (ours - theirs).abs().max() < tolerance * ours.abs().max()


def test_a_step_of_training_fits_and_is_finite(images):
    model = build_model(ModelSize("sac", "vit_tiny", 512, prompter=PrompterSize(width=8))).cuda()
    xy, labels = torch.tensor([[[100.0, 200.0]]]).expand(2, -1, -1).cuda(), torch.ones(2, 1).cuda()
    with torch.autocast("cuda", torch.bfloat16):
        loss = model(images.cuda(), xy, labels).square().mean() + model.maps(images.cuda()).square().mean()
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for _, p in model.trainable() if p.grad is not None)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_run_stops_resumes_and_is_validated(tmp_path, precision):
    settings = [f"output_dir={tmp_path}", f"schedule.precision={precision}", "schedule.checkpointing=true"]
    config = build(TrainConfig, read_settings(SMOKE, [*settings, "schedule.minutes=0.001"]))
    source = open_source(config.data, config.mpp, config.size.tile_px)
    calls = 1
    while not train(config, source).complete:
        calls += 1
    assert calls > 1
    assert (tmp_path / "report.html").exists()
    for line in (tmp_path / "log.jsonl").read_text().splitlines():
        assert all(math.isfinite(value) for value in json.loads(line)["values"].values())
