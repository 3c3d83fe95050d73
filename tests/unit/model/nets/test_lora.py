"""LoRA on SAM's fused qkv: starts as SAM, leaves the key alone, folds back in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from sac_wsi.errors import ConfigError
from sac_wsi.model.nets.attention import use_exact_attention
from sac_wsi.model.nets.lora import LORA_NAMES, LoraQkv, add_lora, merge_lora
from sac_wsi.model.nets.sam import build_encoder

if TYPE_CHECKING:
    from segment_anything.modeling import ImageEncoderViT

TILE = 64


def lora_state(model):
    """What LoRA added."""
    return {name: value for name, value in model.state_dict().items() if name.split(".")[-1] in LORA_NAMES}


def encoder(seed: int = 0) -> ImageEncoderViT:
    torch.manual_seed(seed)
    return build_encoder("vit_nano", TILE).requires_grad_(False)


def image(seed: int = 1) -> Tensor:
    return torch.randn(1, 3, TILE, TILE, generator=torch.Generator().manual_seed(seed))


def train_a_little(module: nn.Module, seed: int = 2) -> None:
    """B as training would leave it: no longer zero."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        if name.endswith(("q_b", "v_b")):
            parameter.data = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


def test_it_starts_as_sam_bit_for_bit() -> None:
    plain, adapted = encoder(), encoder()
    add_lora(adapted, rank=4)
    torch.testing.assert_close(adapted(image()), plain(image()), rtol=0, atol=0)


def test_it_is_wx_plus_bax_on_query_and_value_and_leaves_the_key() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(8, 24)
    lora = LoraQkv.from_linear(linear, rank=3)
    train_a_little(lora)
    x = torch.randn(2, 5, 8)
    q, k, v = lora(x).chunk(3, dim=-1)
    plain_q, plain_k, plain_v = linear(x).chunk(3, dim=-1)
    torch.testing.assert_close(k, plain_k, rtol=0, atol=0)
    torch.testing.assert_close(q, plain_q + x @ (lora.q_b @ lora.q_a).T)
    torch.testing.assert_close(v, plain_v + x @ (lora.v_b @ lora.v_a).T)
    assert (q - plain_q).abs().max() > 0.1
    assert (v - plain_v).abs().max() > 0.1


def test_the_weights_are_shared_and_the_names_are_metas() -> None:
    plain = encoder()
    names, weights = set(plain.state_dict()), [block.attn.qkv.weight for block in plain.blocks]
    add_lora(plain, rank=2)
    assert all(block.attn.qkv.weight is weight for block, weight in zip(plain.blocks, weights, strict=True))
    added = {f"blocks.{i}.attn.qkv.{name}" for i in (0, 1) for name in LORA_NAMES}
    assert set(plain.state_dict()) == names | added


def test_only_the_updates_of_a_frozen_encoder_learn() -> None:
    model = encoder()
    add_lora(model, rank=2)
    model(image()).square().sum().backward()
    learnt = {name for name, p in model.named_parameters() if p.grad is not None}
    assert learnt == set(lora_state(model))
    assert model.blocks[0].attn.qkv.q_b.grad.abs().max() > 0


def test_merged_equals_unmerged_and_is_plain() -> None:
    model = encoder()
    add_lora(model, rank=4)
    train_a_little(model)
    before, names = model(image()), set(encoder().state_dict())
    merge_lora(model)
    torch.testing.assert_close(model(image()), before, rtol=1e-4, atol=1e-5)
    assert set(model.state_dict()) == names
    assert all(type(block.attn.qkv) is nn.Linear for block in model.blocks)
    assert not any(p.requires_grad for p in model.parameters())
    merge_lora(model)  # nothing left to do


def test_merging_leaves_the_layer_itself_as_it_was() -> None:
    lora = LoraQkv(8, rank=2, bias=False, dtype=torch.float64)
    train_a_little(lora)
    before = lora.weight.clone()
    x = torch.randn(3, 8, dtype=torch.float64)
    torch.testing.assert_close(lora.merge()(x), lora(x))
    assert torch.equal(lora.weight, before)


def test_the_state_goes_round() -> None:
    trained, fresh = encoder(), encoder()
    for model in (trained, fresh):
        add_lora(model, rank=4, blocks=[1])
    train_a_little(trained)
    state = lora_state(trained)
    assert set(state) == {f"blocks.1.attn.qkv.{name}" for name in LORA_NAMES}
    assert fresh.load_state_dict(state, strict=False).unexpected_keys == []
    torch.testing.assert_close(fresh(image()), trained(image()), rtol=0, atol=0)


def test_only_the_chosen_blocks_are_adapted() -> None:
    model = encoder()
    add_lora(model, rank=2, blocks=[1])
    assert [isinstance(block.attn.qkv, LoraQkv) for block in model.blocks] == [False, True]


def test_it_works_under_exact_attention_too() -> None:
    model = encoder()
    use_exact_attention(model)
    add_lora(model, rank=2)
    assert torch.isfinite(model(image())).all()


@pytest.mark.parametrize(("rank", "blocks"), [(-1, None), (2, [2]), (2, [0, -1])])
def test_impossible_requests_change_nothing(rank: int, blocks: list[int] | None) -> None:
    model = encoder()
    with pytest.raises(ConfigError):
        add_lora(model, rank, blocks)
    assert not lora_state(model)


def test_a_second_update_on_the_same_layer_is_refused() -> None:
    model = encoder()
    add_lora(model, 2, blocks=[0])
    with pytest.raises(ConfigError, match=r"\[0\] have LoRA already"):
        add_lora(model, 2)


def test_a_layer_that_is_no_qkv_is_refused() -> None:
    with pytest.raises(ConfigError, match="8 to 16"):
        LoraQkv.from_linear(nn.Linear(8, 16), rank=1)


def test_vit_h_at_a_quarter_of_its_width_has_the_papers_parameters() -> None:
    with torch.device("meta"):
        model = build_encoder("vit_h", 1024)
        add_lora(model, rank=320)
    assert sum(value.numel() for value in lora_state(model).values()) == 52_428_800
    assert all(value.is_meta for value in lora_state(model).values())
