"""Which engine computes which model."""

import sys
import types
from dataclasses import replace

import pytest

from sac_wsi.errors import ConfigError
from sac_wsi.model.checkpoint.card import Card
from sac_wsi.model.nets.sizes import ModelSize
from sac_wsi.model.predict import choose_engine as module
from sac_wsi.model.predict.choose_engine import choose_engine

UNET = Card("m", ModelSize("unet", tile_px=64), 0.25, (0.2, 0.5))
SAC = replace(UNET, size=ModelSize("sac", "vit_nano", 64))


@pytest.fixture(autouse=True)
def _plain_cpu(monkeypatch):
    monkeypatch.setattr(module, "may_have_cuda", lambda: False)
    monkeypatch.setattr(module, "computes_bf16", lambda: False)


@pytest.mark.parametrize(
    ("card", "mode", "asked", "expected"),
    [
        (UNET, "prompter", {}, ("openvino", "cpu", "float32")),
        (SAC, "prompter", {}, ("openvino", "cpu", "float32")),
        (SAC, "instance", {}, ("torch", "cpu", "float32")),
        (UNET, "prompter", {"engine": "torch"}, ("torch", "cpu", "float32")),
        (UNET, "prompter", {"precision": "bf16"}, ("openvino", "cpu", "bf16")),
    ],
)
def test_on_a_cpu(card, mode, asked, expected):
    assert choose_engine(card, mode, **asked) == expected


def test_bf16_where_the_cpu_computes_it(monkeypatch):
    monkeypatch.setattr(module, "computes_bf16", lambda: True)
    assert choose_engine(UNET, "prompter") == ("openvino", "cpu", "bf16")


def test_a_gpu_is_used_by_pytorch(monkeypatch):
    cuda = types.SimpleNamespace(is_available=lambda: True, is_bf16_supported=lambda: True)
    monkeypatch.setattr(module, "may_have_cuda", lambda: True)
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda, __spec__=object()))
    assert choose_engine(UNET, "prompter") == ("torch", "cuda", "bf16")
    assert choose_engine(UNET, "prompter", device="cpu") == ("openvino", "cpu", "float32")
    assert choose_engine(UNET, "prompter", engine="openvino") == ("openvino", "cpu", "float32")


@pytest.mark.parametrize(
    ("card", "mode", "device"),
    [
        (SAC, "instance", "cpu"),
        (UNET, "prompter", "cuda"),
        (replace(UNET, size=ModelSize("sam", "vit_nano", 64)), "semantic", "auto"),
    ],
)
def test_openvino_cannot_run_everything(card, mode, device):
    with pytest.raises(ConfigError, match="OpenVINO runs a prompter alone on a CPU"):
        choose_engine(card, mode, engine="openvino", device=device)


def test_without_pytorch_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert choose_engine(UNET, "prompter")[0] == "openvino"
    with pytest.raises(ConfigError, match=r'pip install "sac-wsi\[torch\]"'):
        choose_engine(SAC, "instance")
