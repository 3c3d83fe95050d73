"""`sac-wsi evaluate --model --data`: a model on labelled images, from the command line."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from sac_wsi.cli.evaluate import command
from sac_wsi.errors import ConfigError, DataError
from sac_wsi.model.checkpoint.card import Card
from sac_wsi.model.checkpoint.file import save_checkpoint
from sac_wsi.model.checkpoint.inference import InferenceSettings
from sac_wsi.model.nets.sac import build_model
from sac_wsi.model.nets.sizes import ModelSize, PrompterSize
from sac_wsi.testing.datasets import make_folders


@pytest.fixture
def data(tmp_path):
    images, labels = make_folders(tmp_path, [f"{i}" for i in range(5)])
    (tmp_path / "data.yaml").write_text(
        f"data: {{kind: folders, images: {images}, labels: {labels}, mpp: 0.25}}\nname: not looked at\n"
    )
    return tmp_path / "data.yaml"


@pytest.fixture
def model(tmp_path):
    size = ModelSize("sac", "vit_nano", 64, prompter=PrompterSize(4, 3))
    how = InferenceSettings("semantic", mask_probability=0.0)
    card = Card("nano", size, 0.25, (0.1, 1.0), halo_um=4, inference=how)
    save_checkpoint(tmp_path / "nano.safetensors", build_model(size), card)
    return str(tmp_path / "nano.safetensors")


def evaluate(*arguments):
    result = CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_classical_and_a_checkpoint_are_scored(data, model):
    for name in ("classical", model):
        scores = evaluate("--model", name, "--data", data, "--json")
        assert len(scores["images"]) == 1
        assert 0 <= scores["mean"]["pq"] <= 1
    assert len(evaluate("--model", model, "--data", data, "--part", "all", "--json")["images"]) == 5


def test_label_maps_are_kept_and_score_the_same(data, model, tmp_path):
    of_model = evaluate(
        "--model", model, "--data", data, "--part", "all", "--labels-to", tmp_path / "out", "--json"
    )
    of_files = evaluate("--pred", tmp_path / "out", "--truth", tmp_path / "labels", "--json")
    assert of_files["mean"] == of_model["mean"]
    assert np.load(tmp_path / "out" / "0.npy").shape == (48, 64)


def test_experts_points_reach_the_model(data, model):
    alone = evaluate("--model", model, "--data", data, "--part", "all", "--json")
    helped = evaluate("--model", model, "--data", data, "--part", "all", "--experts", 2, "--json")
    assert helped["images"] != alone["images"]
    with pytest.raises(ConfigError, match="uses no points"):
        evaluate("--model", "classical", "--data", data, "--experts", 2)


def test_settings_reach_the_model_and_the_data(data, model):
    found = ("--model", model, "--data", data, "--part", "all", "--json")
    none = evaluate(*found, "--set", "sac.mask_probability=1")
    assert sum(image["pred_nuclei"] for image in none["images"]) == 0
    with pytest.raises(DataError, match="/nowhere is not a folder"):
        evaluate(*found, "--set", "data.images=/nowhere")


def test_a_bad_image_is_named_or_left_out(data, model, tmp_path):
    (tmp_path / "images" / "1.png").write_bytes(b"broken")
    arguments = ("--model", model, "--data", data, "--part", "all", "--json")
    with pytest.raises(DataError, match=r"1\.png"):
        evaluate(*arguments)
    result = CliRunner().invoke(command, [str(a) for a in (*arguments, "--skip-bad")])
    assert "left out" in result.stderr
    assert len(json.loads(result.stdout)["images"]) == 4


@pytest.mark.parametrize(
    "arguments",
    [[], ["--pred", "a"], ["--model", "classical"], ["--pred", "a", "--truth", "b", "--model", "classical"]],
)
def test_half_a_request_is_told(arguments):
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert "--pred DIR and --truth DIR, or --model NAME and --data CONFIG" in result.output
