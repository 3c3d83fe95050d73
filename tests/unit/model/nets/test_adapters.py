"""Medical SAM Adapters: start as SAM, stand where the paper's baseline has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from sac_wsi.errors import ConfigError
from sac_wsi.model.nets.adapters import AdaptedBlock, Bottleneck, add_adapters
from sac_wsi.model.nets.attention import use_exact_attention
from sac_wsi.model.nets.sam import build_encoder

if TYPE_CHECKING:
    from segment_anything.modeling import ImageEncoderViT


def encoder(tile: int = 64) -> ImageEncoderViT:
    torch.manual_seed(0)
    return build_encoder("vit_nano", tile).requires_grad_(False)


def image(tile: int = 64) -> Tensor:
    return torch.randn(1, 3, tile, tile, generator=torch.Generator().manual_seed(1))


# 8 tokens a side are two windows of 4; 9 are padded to 12
@pytest.mark.parametrize("tile", [64, 72])
def test_it_starts_as_sam_bit_for_bit(tile: int) -> None:
    plain, adapted = encoder(tile), encoder(tile)
    add_adapters(adapted)
    torch.testing.assert_close(adapted(image(tile)), plain(image(tile)), rtol=0, atol=0)


def test_metas_weights_load_by_name_into_the_adapted_encoder() -> None:
    plain, adapted = encoder(), encoder()
    add_adapters(adapted)
    loaded = adapted.load_state_dict(plain.state_dict(), strict=False)
    assert loaded.unexpected_keys == []
    assert loaded.missing_keys
    assert all("space_adapter." in key or "mlp_adapter." in key for key in loaded.missing_keys)


def test_one_adapter_follows_the_attention_and_one_runs_beside_the_mlp() -> None:
    model = encoder()
    block = AdaptedBlock(model.blocks[1])  # the global one: no windows to undo
    for adapter in (block.space_adapter, block.mlp_adapter):
        torch.nn.init.normal_(adapter.up.weight)
        torch.nn.init.normal_(adapter.up.bias)
    x = torch.randn(1, 8, 8, 32)

    def bottleneck(adapter: Bottleneck, y: Tensor) -> Tensor:
        hidden = functional.gelu(y @ adapter.down.weight.T + adapter.down.bias)
        return hidden @ adapter.up.weight.T + adapter.up.bias

    attended = block.attn(block.norm1(x))
    y = x + attended + bottleneck(block.space_adapter, attended)
    normed = block.norm2(y)
    expected = y + block.mlp(normed) + 0.5 * bottleneck(block.mlp_adapter, normed)
    torch.testing.assert_close(block(x), expected)


def test_only_the_adapters_of_a_frozen_encoder_learn() -> None:
    model = encoder()
    add_adapters(model)
    model(image()).square().sum().backward()
    learnt = {name for name, p in model.named_parameters() if p.grad is not None}
    assert learnt == {name for name, _ in model.named_parameters() if "_adapter." in name}
    assert all(block.space_adapter.up.weight.grad.abs().max() > 0 for block in model.blocks)


def test_exact_attention_reaches_into_adapted_blocks() -> None:
    stock, exact = encoder(72), encoder(72)
    for model in (stock, exact):
        torch.manual_seed(3)
        add_adapters(model)
        for block in model.blocks:
            torch.nn.init.normal_(block.space_adapter.up.weight)
    use_exact_attention(exact)
    torch.testing.assert_close(exact(image(72)), stock(image(72)), rtol=1e-4, atol=1e-4)


def test_adding_twice_is_refused() -> None:
    model = encoder()
    add_adapters(model)
    with pytest.raises(ConfigError, match="already"):
        add_adapters(model)


@pytest.mark.parametrize("ratio", [0.0, -1.0, 0.01])
def test_a_ratio_that_leaves_no_width_is_refused(ratio: float) -> None:
    with pytest.raises(ConfigError, match=f"ratio of the adapters is {ratio}"):
        add_adapters(encoder(), ratio)


def test_vit_h_has_the_papers_parameters() -> None:
    with torch.device("meta"):
        model = build_encoder("vit_h", 1024)
        before = sum(p.numel() for p in model.parameters())
        add_adapters(model)
    assert before == 637_026_048
    assert sum(p.numel() for p in model.blocks[0].space_adapter.parameters()) == 820_800
    assert sum(p.numel() for p in model.parameters()) - before == 52_531_200
