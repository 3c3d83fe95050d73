import hashlib
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from sac_wsi.errors import CheckpointError, ConfigError
from sac_wsi.model.checkpoint.card import Card, Training, card_from_json
from sac_wsi.model.checkpoint.describe import describe
from sac_wsi.model.checkpoint.file import load_model, save_checkpoint, verify
from sac_wsi.model.checkpoint.header import hashed_size, read_header, verify_arrays
from sac_wsi.model.checkpoint.inference import InferenceSettings
from sac_wsi.model.nets.sam import build_sam
from sac_wsi.model.nets.sizes import ModelSize, PrompterSize
from sac_wsi.model.points.prompts import CentreSettings, PointSettings


@pytest.fixture
def card(make_model):
    return Card(
        name="test",
        size=make_model().size,
        mpp=0.25,
        mpp_range=(0.2, 0.5),
        inference=InferenceSettings(mode="semantic", points=PointSettings(positive=7)),
        training=Training(data=("none",), licence="CC0-1.0", steps=3),
        metrics={"dice": 0.5},
    )


def test_loaded_weights_equal_saved_ones(make_model, card, tmp_path):
    model = make_model()
    digest = save_checkpoint(tmp_path / "m.safetensors", model, card)
    again, header = load_model(tmp_path / "m.safetensors")
    assert header.card == card
    assert header.sha256 == digest
    assert not again.training
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    assert verify(tmp_path / "m.safetensors") == []


def test_the_cards_normalisation_is_used(make_model, card, rgb, tmp_path):
    save_checkpoint(
        tmp_path / "m", make_model(), replace(card, pixel_mean=(0.0, 0.0, 0.0), pixel_std=(2, 2, 2))
    )
    model, _ = load_model(tmp_path / "m")
    assert torch.equal(model.normalise(rgb), rgb / 2)


def test_the_same_weights_are_the_same_bytes(make_model, card, tmp_path):
    for name in ("a", "b"):
        save_checkpoint(tmp_path / name, make_model(), card, torch.float16)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert load_model(tmp_path / "a")[0].state_dict()["image_encoder.pos_embed"].dtype == torch.float32


def test_a_checkpoint_of_trained_weights_needs_the_file_of_sam(make_model, card, tmp_path):
    torch.manual_seed(8)
    sam = build_sam("vit_nano", 64)
    torch.save(sam.state_dict(), tmp_path / "sam.pth")
    model = make_model()
    model.load_state_dict(sam.state_dict(), strict=False)
    sha = hashlib.sha256((tmp_path / "sam.pth").read_bytes()).hexdigest()
    small = replace(card, kind="trained", base="sam.pth", base_sha256=sha)
    save_checkpoint(tmp_path / "m.safetensors", model, small)
    held = set(load_file(tmp_path / "m.safetensors"))
    assert "image_encoder.blocks.0.attn.qkv.q_a" in held
    assert not any("rel_pos" in name for name in held)
    again, _ = load_model(tmp_path / "m.safetensors", tmp_path / "sam.pth")
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    with pytest.raises(CheckpointError, match="--sam-checkpoint sam.pth"):
        load_model(tmp_path / "m.safetensors")
    torch.save({k: v + 1 for k, v in sam.state_dict().items()}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="not the SAM file"):
        load_model(tmp_path / "m.safetensors", tmp_path / "other.pth")
    assert verify(tmp_path / "m.safetensors") == []


def test_a_flipped_bit_is_found(make_model, card, tmp_path):
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, make_model(), card)
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not those that were written"):
        load_model(path)
    assert "not those that were written" in verify(path)[0]


def test_truncated_foreign_and_missing_files(make_model, card, tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(CheckpointError, match="does not exist"):
        read_header(path)
    save_checkpoint(path, make_model(), card)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:4], b"", b"PK\x03\x04 something else"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"m\.safetensors"):
            read_header(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="not from sac-wsi"):
        read_header(path)


def test_nan_and_other_shapes_are_refused_by_name(make_model, card, tmp_path):
    path = tmp_path / "m.safetensors"
    model = make_model()
    with torch.no_grad():
        model.mask_decoder.iou_token.weight[0, 0] = torch.nan
    save_checkpoint(path, model, card)
    with pytest.raises(CheckpointError, match=r"NaN or infinity in mask_decoder\.iou_token\.weight"):
        load_model(path)
    other = replace(card, size=replace(card.size, lora_rank=3))
    with pytest.raises(ValueError, match="the card is of"):
        save_checkpoint(path, make_model(), other)
    lying = make_model()
    lying.size = other.size
    save_checkpoint(path, lying, other)
    with pytest.raises(CheckpointError, match="misshapen"):
        load_model(path)


@pytest.mark.parametrize(
    "change",
    [{"format": 99}, {"name": 3}, {"size": {"family": "x"}}, {"mpp_range": [1, 2]}, {"sizes": 1}],
)
def test_headers_that_cannot_be_used(card, change):
    values = {**json.loads(card.to_json()), **change}
    with pytest.raises(CheckpointError, match="here"):
        card_from_json(json.dumps(values), "here")


def test_a_card_survives_its_json(card):
    assert card_from_json(card.to_json(), "here") == card


@pytest.mark.parametrize(("before", "views"), [(False, 1), (True, 8)])
def test_older_cards_have_tta_true_or_false(card, before, views):
    values = json.loads(card.to_json())
    values["inference"]["tta"] = before
    assert card_from_json(json.dumps(values), "here").inference.tta == views


def test_older_cards_have_no_tta(card):
    values = json.loads(card.to_json())
    del values["inference"]["tta"]
    assert card_from_json(json.dumps(values), "here").inference.tta == 1
    del values["inference"]
    assert card_from_json(json.dumps(values), "here").mpp == card.mpp


@pytest.mark.parametrize("mode", ["prompter", "semantic", "instance"])
def test_older_cards_have_one_min_score_for_all_modes(card, mode):
    values = json.loads(card.to_json())
    del values["inference"]["min_probability"]
    values["inference"] |= {"mode": mode, "min_score": 0.4}
    use = card_from_json(json.dumps(values), "here").inference
    assert (use.min_score, use.min_probability) == ((0.4, 0.0) if mode == "instance" else (0.0, 0.4))


def test_settings_of_older_cards_are_read_under_todays_names(card):
    values = json.loads(card.to_json())
    use = values["inference"]
    use |= {"way": "instance", "faintest": 0.6, "learnt_off_yx": [-0.5, 0.5]}
    use["centres"]["rise"], use["points"]["way"] = 0.2, "R"
    for section, name in ((use, "mode"), (use, "faint_probability"), (use, "label_offset_yx")):
        del section[name]
    del use["centres"]["min_prominence"], use["points"]["mode"]
    read = card_from_json(json.dumps(values), "here").inference
    assert (read.mode, read.faint_probability, read.label_offset_yx) == ("instance", 0.6, (-0.5, 0.5))
    assert (read.centres.min_prominence, read.points.mode) == (0.2, "R")


def test_renamed_settings_enter_hashes_under_their_first_names():
    """A new name of a setting must not change the UUID of any nucleus."""
    hashed = InferenceSettings(mode="prompter").hashed()
    assert hashed["way"] == "prompter"
    assert {"faintest", "learnt_off_yx"} <= set(hashed)
    assert (hashed["points"]["way"], hashed["centres"]["rise"]) == ("O", 0.07)


def test_older_cards_have_thresholds_of_centres(card):
    values = json.loads(card.to_json())
    values["inference"]["centres"] = {"foreground": 0.4, "centre": 0.5, "boundary": 0.5, "min_area_px": 8}
    assert card_from_json(json.dumps(values), "here").inference.centres == CentreSettings(foreground=0.4)


def test_a_card_that_contradicts_itself(card):
    with pytest.raises(ConfigError, match="low <= mpp"):
        replace(card, mpp_range=(0.3, 0.5))


def test_describe_of_a_file(make_model, card, tmp_path):
    save_checkpoint(tmp_path / "m.safetensors", make_model(), card)
    described = describe(str(tmp_path / "m.safetensors"))
    assert described["mpp"] == 0.25
    assert described["training"]["licence"] == "CC0-1.0"
    assert described["trainable"] > 0
    with pytest.raises(ConfigError, match="no model 'none'"):
        describe("none")


def test_numpy_finds_damage_without_pytorch(make_model, card, tmp_path):
    save_checkpoint(tmp_path / "m", make_model(), card, torch.float16)
    assert verify_arrays(tmp_path / "m") == []
    data = bytearray((tmp_path / "m").read_bytes())
    data[-3] ^= 1
    (tmp_path / "m").write_bytes(data)
    assert "wrong SHA-256" in verify_arrays(tmp_path / "m")[0]
    (tmp_path / "m").write_bytes(data[:-9])
    assert len(verify_arrays(tmp_path / "m")) == 1


def test_sizes_that_are_new_enter_hashes_only_if_they_are_used():
    before = hashed_size(ModelSize("unet", tile_px=64, prompter=PrompterSize(4, 3, "lite0")))
    assert before["prompter"] == {"width": 4, "maps": 3, "kind": "lite0"}
    deeper = hashed_size(ModelSize("unet", tile_px=64, prompter=PrompterSize(4, 3, "lite0", 2)))
    assert deeper["prompter"] == {**before["prompter"], "convolutions": 2}
