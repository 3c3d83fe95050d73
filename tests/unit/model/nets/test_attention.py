"""Exact attention equals segment_anything's own, in values and in gradients."""

from __future__ import annotations

import pytest
import torch
from segment_anything.modeling.image_encoder import Attention, get_rel_pos
from torch import Tensor

from sac_wsi.model.nets.attention import ExactAttention, one_hot_places, relative_rows, use_exact_attention
from sac_wsi.model.nets.lora import LoraQkv, add_lora
from sac_wsi.model.nets.sam import build_encoder


def stock(width: int, heads: int, learned_at: tuple[int, int], rel_pos: bool = True) -> Attention:
    """With position tables as a trained model has them: the untrained ones are zero and would hide errors."""
    torch.manual_seed(0)
    attention = Attention(width, heads, use_rel_pos=rel_pos, input_size=learned_at)
    if rel_pos:
        torch.nn.init.normal_(attention.rel_pos_h)
        torch.nn.init.normal_(attention.rel_pos_w)
    return attention


def relative_difference(ours: Tensor, theirs: Tensor) -> float:
    # not against less than 0.1: with one row, the gradient of the row positions is 0 but for rounding
    largest = theirs.detach().abs().max().clamp(min=0.1)
    return float((ours - theirs).detach().abs().max() / largest)


CASES = {
    "windows of 14, heads of 64": (128, 2, (14, 14), (14, 14), True),
    "windows of 14, heads of 80": (80, 1, (14, 14), (14, 14), True),
    "global": (64, 2, (24, 24), (24, 24), True),
    "not square": (32, 2, (6, 10), (6, 10), True),
    "smaller than learned at": (32, 2, (16, 16), (8, 12), True),
    "larger than learned at": (32, 2, (8, 8), (12, 9), True),
    "one row": (16, 2, (4, 4), (1, 5), True),
    "no positions": (32, 4, (8, 8), (8, 8), False),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_equals_sams_in_values_and_gradients(
    case: tuple[int, int, tuple[int, int], tuple[int, int], bool],
) -> None:
    width, heads, learned_at, size, rel_pos = case
    theirs = stock(width, heads, learned_at, rel_pos)
    ours = ExactAttention(theirs)
    x = torch.randn(2, *size, width)
    towards = torch.randn(2, *size, width)

    def run(attention: torch.nn.Module) -> list[Tensor]:
        inputs = x.clone().requires_grad_()
        out = attention(inputs)
        wanted = [inputs, *attention.parameters()]
        return [out, *torch.autograd.grad((out * towards).sum(), wanted)]

    for got, expected in zip(run(ours), run(theirs), strict=True):
        assert relative_difference(got, expected) < 1e-4


def test_it_equals_sams_in_double_precision_to_the_last_digits() -> None:
    theirs = stock(32, 2, (7, 5)).double()
    x = torch.randn(1, 7, 5, 32, dtype=torch.float64)
    assert relative_difference(ExactAttention(theirs)(x), theirs(x)) < 1e-12


def test_bfloat16_stays_as_near_to_float32_as_sams_own_does() -> None:
    theirs = stock(64, 1, (14, 14))
    x = torch.randn(1, 14, 14, 64)
    exact = theirs(x)
    with torch.autocast("cpu", torch.bfloat16):
        ours, sams = ExactAttention(theirs)(x), theirs(x)
    assert ours.dtype == torch.bfloat16
    assert relative_difference(ours, exact) < max(0.02, 2 * relative_difference(sams, exact))


def test_parameters_are_shared_under_metas_names() -> None:
    theirs = stock(16, 2, (4, 4))
    ours = dict(ExactAttention(theirs).named_parameters())
    for name, parameter in theirs.named_parameters():
        assert ours.pop(name) is parameter
    assert not ours


def test_qkv_may_have_low_rank_updates() -> None:
    theirs = stock(16, 2, (4, 4))
    theirs.qkv = LoraQkv.from_linear(theirs.qkv, rank=2)
    torch.nn.init.normal_(theirs.qkv.q_b)
    x = torch.randn(1, 4, 4, 16)
    assert relative_difference(ExactAttention(theirs)(x), theirs(x)) < 1e-4


def test_a_whole_encoder_stays_itself() -> None:
    torch.manual_seed(0)
    model = build_encoder("vit_nano", 72)  # 9 tokens a side: windows of 4 are padded
    for name, parameter in model.named_parameters():
        if "rel_pos" in name:
            torch.nn.init.normal_(parameter)
    names = list(model.state_dict())
    x = torch.randn(1, 3, 72, 72)
    before = model(x)
    use_exact_attention(model)
    add_lora(model, rank=2)
    assert [name for name in model.state_dict() if not name.endswith(("_a", "_b"))] == names
    assert relative_difference(model(x), before) < 1e-4
    use_exact_attention(model)  # a second time changes nothing
    assert relative_difference(model(x), before) < 1e-4


@pytest.mark.parametrize(("learned_at", "size"), [(5, 5), (14, 9), (4, 14), (3, 1)])
def test_relative_rows_are_sams(learned_at: int, size: int) -> None:
    table = torch.randn(2 * learned_at - 1, 6)
    torch.testing.assert_close(relative_rows(table, size), get_rel_pos(size, size, table), rtol=0, atol=0)


def test_places_are_one_hot_rows_and_columns() -> None:
    places = one_hot_places(2, 3, torch.empty(0))
    assert places.tolist() == [
        [1, 0, 1, 0, 0],
        [1, 0, 0, 1, 0],
        [1, 0, 0, 0, 1],
        [0, 1, 1, 0, 0],
        [0, 1, 0, 1, 0],
        [0, 1, 0, 0, 1],
    ]


def test_it_runs_on_the_meta_device() -> None:
    with torch.device("meta"):
        attention = ExactAttention(Attention(16, 2, use_rel_pos=True, input_size=(4, 4)))
        assert attention(torch.empty(1, 4, 4, 16)).shape == (1, 4, 4, 16)
