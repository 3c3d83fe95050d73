"""Compare every loss with its formula in float64 numpy; test it for extreme logits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from sac_wsi.train.losses import (
    EPSILON,
    dice_ce_as_printed,
    dice_ce_loss,
    dice_loss,
    focal_loss,
    forgiven,
    offset_loss,
    prompter_loss,
    sam_loss,
)

Loss = Callable[[Tensor, Tensor], Tensor]
LOSSES: list[Loss] = [dice_loss, focal_loss, sam_loss, dice_ce_loss, dice_ce_as_printed, prompter_loss]
SHAPE = (2, 3, 4, 5)
BY_MASK = (-2, -1)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def dice_plainly(x: np.ndarray, g: np.ndarray) -> float:
    p = sigmoid(x)
    above = 2 * (p * g).sum(BY_MASK) + EPSILON
    return float((1 - above / ((p**2).sum(BY_MASK) + (g**2).sum(BY_MASK) + EPSILON)).mean())


def focal_plainly(x: np.ndarray, g: np.ndarray, gamma: float = 2.0, alpha: float = 0.25) -> float:
    p = sigmoid(x)
    p_t = np.where(g == 1, p, 1 - p)
    alpha_t = np.where(g == 1, alpha, 1 - alpha)
    return float((-alpha_t * (1 - p_t) ** gamma * np.log(p_t)).mean())


def cross_entropy_plainly(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    p = sigmoid(x)
    return np.asarray(-(g * np.log(p) + (1 - g) * np.log(1 - p)))


logits_of = arrays(np.float64, SHAPE, elements=st.floats(-15, 15))
masks = arrays(np.float64, SHAPE, elements=st.sampled_from([0.0, 1.0]))
maps = arrays(np.float64, SHAPE, elements=st.floats(0, 1))


def check(loss: Loss, x: np.ndarray, g: np.ndarray, expected: float) -> None:
    wide = loss(torch.from_numpy(x), torch.from_numpy(g))
    assert float(wide) == pytest.approx(expected, rel=1e-7, abs=1e-9)
    single = loss(torch.from_numpy(x).float(), torch.from_numpy(g).float())
    assert single.dtype == torch.float32
    assert float(single) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@settings(max_examples=25)
@given(logits_of, masks)
def test_losses_on_masks_equal_their_formulas(x: np.ndarray, g: np.ndarray) -> None:
    dice, focal, entropy = dice_plainly(x, g), focal_plainly(x, g), cross_entropy_plainly(x, g)
    check(dice_loss, x, g, dice)
    check(focal_loss, x, g, focal)
    check(sam_loss, x, g, 20 * focal + dice)
    check(dice_ce_loss, x, g, dice + entropy.mean())
    check(dice_ce_as_printed, x, g, dice - (g * np.log(sigmoid(x))).sum(BY_MASK).mean())


@settings(max_examples=25)
@given(logits_of, maps)
def test_the_prompters_loss_is_the_sum_of_mean_cross_entropies(x: np.ndarray, g: np.ndarray) -> None:
    check(prompter_loss, x, g, cross_entropy_plainly(x, g).mean(axis=(0, 2, 3)).sum())
    check(prompter_loss, x[:, :1], g[:, :1], cross_entropy_plainly(x[:, :1], g[:, :1]).mean())


@pytest.mark.parametrize(("gamma", "alpha"), [(0.0, 0.5), (1.0, 0.25), (3.0, 0.9)])
def test_focal_loss_takes_gamma_and_alpha(gamma: float, alpha: float) -> None:
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=SHAPE), (rng.random(SHAPE) < 0.5).astype(float)
    got = focal_loss(torch.from_numpy(x), torch.from_numpy(g), gamma, alpha)
    assert float(got) == pytest.approx(focal_plainly(x, g, gamma, alpha))


def test_sam_loss_takes_its_weights() -> None:
    x, g = torch.randn(SHAPE), torch.ones(SHAPE)
    assert float(sam_loss(x, g, 0, 1)) == float(dice_loss(x, g))
    assert float(sam_loss(x, g, 1, 0)) == float(focal_loss(x, g))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("logit", [-100.0, -50.0, 0.0, 50.0, 100.0])
@pytest.mark.parametrize("mask", [0, 1])
def test_sure_logits_give_finite_losses_and_gradients(
    loss: Loss, dtype: torch.dtype, logit: float, mask: int
) -> None:
    x = torch.full(SHAPE, logit, dtype=dtype, requires_grad=True)
    got = loss(x, torch.full(SHAPE, mask, dtype=torch.uint8))
    got.backward()
    assert got.dtype == torch.float32
    assert torch.isfinite(got)
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_autocast_does_not_narrow_the_losses(loss: Loss) -> None:
    torch.manual_seed(0)
    x, g = torch.randn(SHAPE), (torch.rand(SHAPE) < 0.5).float()
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(x, g)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, loss(x, g))


@pytest.mark.parametrize("loss", [dice_loss, focal_loss, sam_loss, dice_ce_loss, dice_ce_as_printed])
@pytest.mark.parametrize("cover", [0.0, 0.5, 1.0])
def test_confident_correct_prediction_has_no_loss(loss: Loss, cover: float) -> None:
    g = torch.zeros(SHAPE)
    g.view(-1)[: int(cover * g.numel())] = 1
    assert float(loss(100 * g - 50, g)) == pytest.approx(0, abs=1e-6)


def test_dice_of_an_empty_mask_is_0_if_found_empty_and_1_if_not() -> None:
    empty = torch.zeros(1, 1, 8, 8)
    assert float(dice_loss(empty - 50, empty)) == 0
    assert float(dice_loss(empty + 50, empty)) == pytest.approx(1)


def test_dice_is_averaged_over_masks_not_pooled() -> None:
    g = torch.zeros(2, 8, 8)
    g[0, 0, 0] = 1  # a small mask, missed; a large one, found
    g[1] = 1
    x = torch.stack([torch.full((8, 8), -50.0), torch.full((8, 8), 50.0)])
    assert float(dice_loss(x, g)) == pytest.approx(0.5, abs=1e-5)


def test_foreground_everywhere_has_no_printed_cross_entropy_but_a_real_one() -> None:
    g = torch.zeros(1, 1, 8, 8)
    g[..., :4] = 1
    everywhere = torch.full_like(g, 50.0)
    printed = dice_ce_as_printed(everywhere, g) - dice_loss(everywhere, g)
    assert float(printed) == pytest.approx(0, abs=1e-6)
    assert float(dice_ce_loss(everywhere, g) - dice_loss(everywhere, g)) > 20


def test_the_printed_cross_entropy_grows_with_the_area() -> None:
    x, g = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    assert float(dice_ce_as_printed(x, g) - dice_loss(x, g)) == pytest.approx(64 * np.log(2), rel=1e-5)


@settings(max_examples=20)
@given(st.floats(0.02, 0.98))
def test_the_prompters_loss_is_least_where_the_map_equals_its_target(value: float) -> None:
    g = torch.full((1, 3, 2, 2), value, dtype=torch.float64)
    x = torch.logit(g).requires_grad_()
    prompter_loss(x, g).backward()
    assert x.grad is not None
    assert float(x.grad.abs().max()) < 1e-12


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_the_losses_own(loss: Loss) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    g = (torch.rand(1, 2, 3, 3) < 0.5).double()
    assert torch.autograd.gradcheck(lambda logits: loss(logits, g), (x,))


@pytest.mark.parametrize("loss", LOSSES)
def test_shapes_that_would_broadcast_are_refused(loss: Loss) -> None:
    with pytest.raises(ValueError, match="one shape"):
        loss(torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4))


def test_prompter_loss_needs_four_dimensions() -> None:
    with pytest.raises(ValueError, match=r"\(B, maps, H, W\)"):
        prompter_loss(torch.zeros(4, 4), torch.zeros(4, 4))


def test_offset_loss_is_the_mean_distance_over_the_pixels_of_nuclei() -> None:
    offsets, target = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    target[0, :, 0, 0] = torch.tensor([3.0, -4.0])
    target[0, :, 1, 1] = 99.0  # not on a nucleus
    inside = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    assert float(offset_loss(offsets, target, inside)) == pytest.approx(3.5)
    assert float(offset_loss(offsets, target, torch.zeros(1, 1, 2, 2))) == 0


def test_background_that_looks_like_a_nucleus_is_forgiven_away_from_outlines() -> None:
    target = torch.zeros(1, 3, 40, 40)
    target[:, :, 18:22, 18:22] = 1
    logits = torch.full((1, 3, 40, 40), -3.0)
    logits[:, :, 2:6, 2:6] = 4  # unlabelled
    logits[:, :, 18:25, 18:22] = 4  # reaches over the outline
    logits.requires_grad_()
    prompter_loss(logits, forgiven(logits, target, 0.9)).backward()
    assert not logits.grad[:, :, 2:6, 2:6].any()
    assert logits.grad[:, :, 22:25, 18:22].all()
    assert logits.grad[:, :, 10:14, 10:14].all()


@pytest.mark.parametrize("above", [1.0, 0.99])
def test_nothing_is_forgiven_above_the_given_probability(above: float) -> None:
    target = torch.zeros(1, 3, 40, 40)
    torch.testing.assert_close(forgiven(torch.full((1, 3, 40, 40), 3.0), target, above), target)
