import pytest
import torch

from sac_wsi.model.nets.sac import build_model
from sac_wsi.model.nets.sizes import ModelSize, PrompterSize

TILE_PX = 64
"""Eight cells a side for ``vit_nano``: its windows of four and its global block both have work."""


@pytest.fixture
def make_model():
    """A small model whose weights are all random: Meta starts positions and our updates at zero."""

    def make(family="sac", tile_px=TILE_PX, maps=1, seed=0, **options):
        torch.manual_seed(seed)
        size = ModelSize(family, "vit_nano", tile_px, prompter=PrompterSize(width=4, maps=maps))
        model = build_model(size, **options)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        return model.eval()

    return make


@pytest.fixture
def rgb():
    """(2, 3, 64, 64) RGB values."""
    return torch.randint(0, 256, (2, 3, TILE_PX, TILE_PX), generator=torch.Generator().manual_seed(1)).float()
