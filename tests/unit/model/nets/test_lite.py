"""The prompter over EfficientNet-Lite0: its size, its shapes, its start, and a SAC over it."""

from __future__ import annotations

import pytest
import torch

from sac_wsi.model.nets.lite import LiteEncoder, LitePrompter
from sac_wsi.model.nets.sac import build_model
from sac_wsi.model.nets.sizes import ModelSize, PrompterSize

STRIDE_32 = 2_258_080
"""Parameters of the stages that are left out."""


def test_the_encoder_has_the_parameters_of_efficientnet_lite0() -> None:
    with torch.device("meta"):
        encoder = LiteEncoder()
    # 4,652,008 of the whole network, less the classifier with its layer, and the stages at stride 32
    assert sum(p.numel() for p in encoder.parameters()) == 4_652_008 - 1_281_000 - 412_160 - STRIDE_32


@pytest.mark.parametrize("maps", [1, 3, 5])
@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_the_maps_are_as_large_as_the_image(maps: int, size: tuple[int, int]) -> None:
    model = LitePrompter(width=4, maps=maps).eval()
    assert model(torch.randn(2, 3, *size)).shape == (2, maps, *size)


def test_features_have_the_widths_it_names() -> None:
    model = LitePrompter(width=4).eval()
    _, features = model.with_features(torch.randn(1, 3, 64, 64))
    assert {64 // each.shape[2]: each.shape[1] for each in features} == model.feature_widths


def test_a_wrong_side_is_refused() -> None:
    with pytest.raises(ValueError, match="needed multiples of 16: pad to 48 x 32"):
        LitePrompter(width=4)(torch.zeros(1, 3, 40, 32))


def test_the_four_pixels_of_a_cell_begin_equal_and_every_parameter_learns() -> None:
    torch.manual_seed(0)
    model = LitePrompter(width=8, maps=3)
    maps = model(torch.randn(2, 3, 64, 64))
    torch.testing.assert_close(maps[:, :, ::2, ::2], maps[:, :, 1::2, 1::2])
    target = torch.randn(maps.shape)
    (maps - target).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_further_convolutions_begin_as_no_change_and_learn() -> None:
    torch.manual_seed(0)
    one, three = LitePrompter(width=8), LitePrompter(width=8, convolutions=3)
    missing, unexpected = three.load_state_dict(one.state_dict(), strict=False)
    assert not unexpected
    assert missing
    assert all(name.startswith("refine.") for name in missing)
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(three(images), one(images))
    three(images).square().mean().backward()
    gains = [p for name, p in three.refine.named_parameters() if name.endswith("layers.1.weight")]
    assert len(gains) == 4 * 2
    assert all(p.grad.abs().max() > 0 for p in gains)


def test_a_sac_over_it_begins_as_the_prompter_alone() -> None:
    torch.manual_seed(0)
    size = ModelSize("sac", "vit_nano", 64, prompter=PrompterSize(4, 3, "lite0"), over_prompter=True)
    model = build_model(size).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        found = model(images, torch.zeros(1, 1, 2), torch.ones(1, 1))
        torch.testing.assert_close(found, model.maps(images)[:, :1], rtol=1e-4, atol=1e-4)
