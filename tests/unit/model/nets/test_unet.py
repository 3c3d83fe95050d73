"""The paper's auto-prompt generator: the paper's size, its shapes, a sane start."""

from __future__ import annotations

import pytest
import torch

from sac_wsi.model.nets.unet import UNet


def test_it_has_the_papers_parameters() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in UNet(width=32, maps=1).parameters()) == 7_763_041
        three = sum(p.numel() for p in UNet(width=32, maps=3).parameters())
    assert three == 7_763_041 + 2 * (32 + 1)


@pytest.mark.parametrize("maps", [1, 3])
@pytest.mark.parametrize("size", [(16, 16), (32, 48)])
def test_the_maps_are_as_large_as_the_image(maps: int, size: tuple[int, int]) -> None:
    model = UNet(width=2, maps=maps).eval()
    assert model(torch.randn(2, 3, *size)).shape == (2, maps, *size)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 30, 32), "30 x 32 pixels; needed multiples of 16: pad to 32 x 32"),
        ((1, 3, 32, 33), "pad to 32 x 48"),
        ((1, 1, 32, 32), r"\(1, 1, 32, 32\); needed \(B, 3, H, W\)"),
        ((3, 32, 32), r"\(3, 32, 32\)"),
    ],
)
def test_the_message_for_a_wrong_input_says_what_is_needed(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UNet(width=2)(torch.zeros(shape))


def test_only_the_upsampling_and_the_output_have_biases() -> None:
    for module in UNet(width=2).modules():
        if isinstance(module, torch.nn.Conv2d):
            assert (module.bias is None) == (module.kernel_size == (3, 3))
        if isinstance(module, torch.nn.ConvTranspose2d):
            assert module.bias is not None


def test_it_starts_undecided_and_every_parameter_learns() -> None:
    torch.manual_seed(0)
    model = UNet(width=8, maps=3)
    logits = model(torch.randn(2, 3, 64, 64))
    assert 0.1 < logits.std() < 5
    assert logits.mean().abs() < 2
    logits.square().mean().backward()
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
    assert all(p.grad.abs().max() > 0 for name, p in model.named_parameters() if not name.endswith("bias"))


def test_channels_last_gives_the_same_and_stays_channels_last() -> None:
    torch.manual_seed(0)
    model = UNet(width=4, maps=3).eval()
    x = torch.randn(2, 3, 32, 32)
    expected = model(x)
    model = model.to(memory_format=torch.channels_last)
    got = model(x.to(memory_format=torch.channels_last))
    assert got.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_a_tile_does_not_depend_on_its_batch() -> None:
    torch.manual_seed(0)
    model = UNet(width=4).eval()
    x = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]), rtol=1e-4, atol=1e-4)
