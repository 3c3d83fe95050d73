"""Build SAM from the parts of ``segment-anything`` at any of our sizes, and load Meta's weights into it."""

from __future__ import annotations

import pickle
from functools import partial
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)
from torch import Tensor, nn
from torch.nn import functional

from sac_wsi.errors import CheckpointError
from sac_wsi.model.nets.sizes import ENCODERS, decoder_size, encoder_size
from sac_wsi.model.nets.tiny_vit import TinyViT

if TYPE_CHECKING:
    from pathlib import Path

State = dict[str, Tensor]


def build_sam(encoder: str, tile_px: int) -> Sam:
    """Build Meta's ``Sam`` with random weights, pixel means and deviations included."""
    return Sam(
        image_encoder=build_encoder(encoder, tile_px),
        prompt_encoder=build_prompt_encoder(encoder, tile_px),
        mask_decoder=build_mask_decoder(encoder),
    )


def build_encoder(encoder: str, tile_px: int) -> ImageEncoderViT | TinyViT:
    """Build an image encoder for tiles of this side."""
    size = encoder_size(encoder)
    if size.kind == "tiny_vit":
        return TinyViT(size.out_width)
    return ImageEncoderViT(
        img_size=tile_px,
        patch_size=size.patch_px,
        embed_dim=size.width,
        depth=size.depth,
        num_heads=size.heads,
        out_chans=size.out_width,
        use_rel_pos=True,
        window_size=size.window,
        global_attn_indexes=size.global_blocks,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    )


def build_prompt_encoder(encoder: str, tile_px: int) -> PromptEncoder:
    """Build SAM's prompt encoder for tiles of this side."""
    size = encoder_size(encoder)
    cells = tile_px // size.patch_px
    return PromptEncoder(
        embed_dim=size.out_width,
        image_embedding_size=(cells, cells),
        input_image_size=(tile_px, tile_px),
        mask_in_chans=decoder_size(encoder).mask_prompt_width,
    )


def build_mask_decoder(encoder: str) -> MaskDecoder:
    """Build SAM's mask decoder."""
    width, size = encoder_size(encoder).out_width, decoder_size(encoder)
    return MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(
            depth=size.depth, embedding_dim=width, mlp_dim=size.mlp_width, num_heads=size.heads
        ),
        transformer_dim=width,
        iou_head_depth=3,
        iou_head_hidden_dim=size.iou_width,
    )


def read_sam_file(path: Path) -> State:
    """Read the tensors of a file of SAM (.pth) or MobileSAM (.pt, .safetensors); no code in it is run.

    TinyViT's classifier, which MobileSAM's file holds and does not use, is left out.
    """
    state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pth(path)
    unused = ("image_encoder.norm_head.", "image_encoder.head.")
    return {
        name: value.float() if value.is_floating_point() else value
        for name, value in state.items()
        if not name.startswith(unused) and not name.endswith(".attention_bias_idxs")
    }


def _read_safetensors(path: Path) -> State:
    try:
        return load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist.") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a safetensors file, or it is truncated ({type(error).__name__}). Copy it again."
        ) from None


def _read_pth(path: Path) -> State:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist. `sac-wsi models fetch` downloads SAM's.") from None
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path} holds more than tensors; no code in it was run. Needed a SAM checkpoint such as "
            "sam_vit_b_01ec64.pth."
        ) from None
    except Exception as error:  # noqa: BLE001 - torch raises many types for damaged files
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}): it is truncated or of "
            "another kind. Fetch it again."
        ) from None
    named = isinstance(state, dict) and all(isinstance(name, str) for name in state)
    if not named or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path} holds no table of tensors: needed a SAM checkpoint.")
    return dict(state)


def encoder_of(state: State, what: str) -> str:
    """Return the name of the encoder that a state of SAM belongs to, by its width and depth."""
    if "image_encoder.patch_embed.seq.0.c.weight" in state:
        return "vit_t"
    patch, width = state.get("image_encoder.patch_embed.proj.weight"), -1
    depth = sum(name.endswith(".attn.qkv.weight") for name in state)
    if patch is not None and patch.ndim == 4:
        width = patch.shape[0]
    for name, size in ENCODERS.items():
        if (size.width, size.depth) == (width, depth):
            return name
    known = ", ".join(f"{name} {size.width} x {size.depth}" for name, size in ENCODERS.items())
    raise CheckpointError(
        f"{what} has an encoder of width {width} and depth {depth}; needed one of SAM's (width x depth): "
        f"{known}."
    )


def fitted(state: State, wanted: State) -> State:
    """Resize the position tables of a state to those of the wanted state."""
    return {
        name: _fit(name, value, wanted[name].shape) if name in wanted else value
        for name, value in state.items()
    }


def check_state(state: State, wanted: State, what: str) -> None:
    """Compare names, shapes and types of tensors; ``what`` names the file in messages.

    Raises:
        CheckpointError: Some do not fit, or are NaN or infinite; the message names them.
    """
    missing = [name for name in wanted if name not in state]
    unexpected = [name for name in state if name not in wanted]
    misshapen = [
        f"{name} is {tuple(state[name].shape)}, needed {tuple(wanted[name].shape)}"
        for name in wanted
        if name in state and state[name].shape != wanted[name].shape
    ] + [
        f"{name} is {state[name].dtype}"
        for name in wanted
        if name in state and state[name].is_floating_point() != wanted[name].is_floating_point()
    ]
    faults = {"missing": missing, "unexpected": unexpected, "misshapen": misshapen}
    if any(faults.values()):
        listed = "; ".join(f"{len(names)} {kind} ({_some(names)})" for kind, names in faults.items() if names)
        raise CheckpointError(f"{what} does not fit: {listed}. Is it the encoder you named?")
    for name, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise CheckpointError(f"{what} holds NaN or infinity in {name}: it is damaged.")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _fit(name: str, value: Tensor, shape: torch.Size) -> Tensor:
    """Resize a position table to another tile size; return any other tensor unchanged."""
    if value.shape == shape or value.shape[-1:] != shape[-1:] or value.ndim != len(shape):
        return value
    if name.endswith("pos_embed"):  # (1, rows, columns, width): absolute positions
        rows, columns = shape[1:3]
        table = value.float().permute(0, 3, 1, 2)
        grid = functional.interpolate(table, size=(rows, columns), mode="bicubic", align_corners=False)
        return grid.permute(0, 2, 3, 1).to(value.dtype)
    if name.endswith(("rel_pos_h", "rel_pos_w")):  # (2 n - 1, head width), as ``get_rel_pos`` resizes it
        line = functional.interpolate(value.float().T[None], size=shape[0], mode="linear")
        return line[0].T.to(value.dtype)
    return value
