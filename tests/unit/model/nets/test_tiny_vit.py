"""TinyViT: its size, its windows, its updates and adapters; and the pretrained file, where it is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sac_wsi.errors import ConfigError
from sac_wsi.model.checkpoint.file import load_model, verify
from sac_wsi.model.nets.adapters import add_adapters
from sac_wsi.model.nets.counts import count_parameters
from sac_wsi.model.nets.lora import LoraQkv, add_lora, merge_lora
from sac_wsi.model.nets.sac import build_model, load_sam
from sac_wsi.model.nets.sam import read_sam_file
from sac_wsi.model.nets.sizes import ModelSize, PrompterSize
from sac_wsi.model.nets.tiny_vit import TinyViT, _Attention, _distances

PRETRAINED = Path(__file__).resolve().parents[5] / "shared/weights/mobile_sam_fp16.safetensors"


def a_model(family="sac", tile_px=64, **options):
    torch.manual_seed(0)
    size = ModelSize(family, "vit_t", tile_px, prompter=PrompterSize(width=4, maps=3), **options)
    return build_model(size).eval()


def test_parameters() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in TinyViT().parameters()) == 5_743_892
    sam, sac, msa = (count_parameters(ModelSize(family, "vit_t", 512)) for family in ("sam", "sac", "msa"))
    assert sam.total == 5_743_892 + 4_058_340 + 6_220  # encoder, mask decoder, prompt encoder
    # q and v of 2 blocks of 128, 6 of 160 and 2 of 320, each with factors of a quarter of the width
    updates = sum(blocks * 2 * 2 * width * (width // 4) for blocks, width in ((2, 128), (6, 160), (2, 320)))
    assert sac.total - sam.total == updates
    hidden = {width: width // 4 for width in (128, 160, 320)}
    adapters = sum(
        blocks * 2 * (2 * width * hidden[width] + width + hidden[width])
        for blocks, width in ((2, 128), (6, 160), (2, 320))
    )
    assert msa.total - sam.total == adapters


@pytest.mark.parametrize("side", [16, 64, 144])
def test_any_multiple_of_16_is_a_side(side: int) -> None:
    assert TinyViT().eval()(torch.randn(2, 3, side, side)).shape == (2, 256, side // 16, side // 16)


def test_attention_is_the_plain_formula() -> None:
    torch.manual_seed(0)
    attention = _Attention(8, 2, 3)
    torch.nn.init.normal_(attention.attention_biases)
    x = torch.randn(1, 9, 8)
    qkv = attention.qkv(attention.norm(x)).view(9, 2, 3, 4)
    out = []
    for head in range(2):
        q, k, v = qkv[:, head].unbind(1)
        bias = torch.empty(9, 9)
        for i in range(9):
            for j in range(9):
                place = abs(i // 3 - j // 3) * 3 + abs(i % 3 - j % 3)
                bias[i, j] = attention.attention_biases[head, place]
        out.append(torch.softmax(q @ k.T / 2 + bias, dim=1) @ v)
    expected = attention.proj(torch.cat(out, dim=1))
    torch.testing.assert_close(attention(x)[0], expected)


def test_distances_are_those_of_rows_and_columns() -> None:
    assert _distances(2, torch.device("cpu")).tolist() == [
        [0, 1, 2, 3],
        [1, 0, 3, 2],
        [2, 3, 0, 1],
        [3, 2, 1, 0],
    ]


def test_updates_change_q_and_v_of_every_head_and_can_be_merged() -> None:
    torch.manual_seed(0)
    plain = torch.nn.Linear(8, 24)
    lora = LoraQkv.from_linear(plain, 2, groups=2)
    for factor in (lora.q_b, lora.v_b):
        torch.nn.init.normal_(factor)
    x = torch.randn(3, 5, 8)
    before, after = (layer(x).view(3, 5, 2, 3, 4) for layer in (plain, lora))
    torch.testing.assert_close(after[..., 1, :], before[..., 1, :])
    q = (x @ lora.q_a.T @ lora.q_b.T).view(3, 5, 2, 4)
    torch.testing.assert_close(after[..., 0, :] - before[..., 0, :], q, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(lora.merge()(x), lora(x), rtol=1e-4, atol=1e-5)


def test_it_begins_as_before_updates_and_adapters_and_merging_keeps_it() -> None:
    torch.manual_seed(0)
    encoder = TinyViT().eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = encoder(x)
        add_lora(encoder)
        torch.testing.assert_close(encoder(x), expected)
        for block in encoder.blocks:
            torch.nn.init.normal_(block.attn.qkv.q_b, std=0.1)
        changed = encoder(x)
        assert (changed - expected).abs().max() > 1e-4
        merge_lora(encoder)
        torch.testing.assert_close(encoder(x), changed, rtol=1e-3, atol=1e-4)
        add_adapters(encoder)
        torch.testing.assert_close(encoder(x), changed, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", ["sac", "msa", "sam-ft"])
def test_each_family_trains_its_own_parts(family) -> None:
    learnt = {name for name, _ in a_model(family).trainable() if name.startswith("image_encoder.")}
    part = {"sac": "qkv.", "msa": "_adapter.", "sam-ft": "image_encoder.neck."}[family]
    assert learnt
    assert all(part in name for name in learnt)


def test_it_cannot_take_the_features_of_a_prompter() -> None:
    with pytest.raises(ConfigError, match="over_prompter goes with SAM's own kind of encoder"):
        a_model(over_prompter=True)


def test_a_file_of_mobile_sam_loads_by_its_own_names(tmp_path) -> None:
    source = a_model("sam")
    state = dict(source.state_dict())
    state["image_encoder.norm_head.weight"] = torch.zeros(3)
    state["image_encoder.layers.1.blocks.0.attn.attention_bias_idxs"] = torch.zeros(3)
    torch.save(state, tmp_path / "mobile_sam.pt")
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "m.safetensors")
    for name in ("mobile_sam.pt", "m.safetensors"):
        model, header = load_model(tmp_path / name)
        assert (header.card.size.encoder, header.card.size.tile_px) == ("vit_t", 1024)
        assert verify(tmp_path / name) == []
        for key, value in source.image_encoder.state_dict().items():
            torch.testing.assert_close(model.image_encoder.state_dict()[key], value)
    other = a_model("sac", tile_px=128)
    load_sam(other, read_sam_file(tmp_path / "m.safetensors"), "m")


@pytest.mark.skipif(not PRETRAINED.is_file(), reason="the pretrained weights are not here")
def test_the_pretrained_encoder_gives_the_numbers_of_its_source() -> None:
    """Its ONNX file gave these for the same input, with weights of more digits."""
    model, _ = load_model(PRETRAINED)
    x = np.random.default_rng(0).standard_normal((1, 3, 1024, 1024), np.float32)
    with torch.inference_mode():
        found = model.image_encoder(torch.from_numpy(x))[0].numpy()
    np.testing.assert_allclose(found[[0, 100, 255], [3, 40, 60], [5, 7, 33]], EXPECTED, atol=1e-3)


EXPECTED = [-0.09239, -0.02788, -0.07999]
