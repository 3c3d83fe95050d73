"""Folded batch norms, in both kinds of prompters."""

import pytest
import torch

from sac_wsi.model.nets.convolution import fold_norms
from sac_wsi.model.nets.prompter import build_prompter
from sac_wsi.model.nets.sizes import PrompterSize


@pytest.mark.parametrize("size", [PrompterSize(4, 1), PrompterSize(4, 3), PrompterSize(4, 5, "lite0", 2)])
def test_folded_norms_give_the_same_maps(size):
    torch.manual_seed(0)
    prompter = build_prompter(size).eval()
    for part in prompter.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            for values in (part.running_mean, part.bias):
                torch.nn.init.normal_(values, std=0.3)
            for values in (part.weight, part.running_var):
                torch.nn.init.uniform_(values, 0.5, 2)
    images = torch.randn(2, 3, 32, 64)
    with torch.inference_mode():
        expected = prompter(images)
        fold_norms(prompter)
        torch.testing.assert_close(prompter(images), expected, rtol=1e-3, atol=1e-3)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in prompter.modules())
