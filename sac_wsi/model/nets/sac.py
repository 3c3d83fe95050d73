"""The models of the paper's own runs, built from SAM's parts.

image ─► image encoder (+ LoRA or adapters) ─────────────► mask decoder ─► mask logits
  └────► prompter (U-Net) ─► maps ─► points ─► prompt encoder ──┘

family   encoder         learns, beside prompt encoder and decoder
sac      LoRA on q, v    the updates
msa      adapters        the adapters
sam-ft   as it is        the neck
sam      as it is        nothing: zero-shot, with the user's points
unet     none            the prompter; there is nothing else

``over_prompter`` is ours: the encoder also gets the prompter's features, and masks correct its maps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from sac_wsi.model.nets.adapters import add_adapters
from sac_wsi.model.nets.attention import use_exact_attention
from sac_wsi.model.nets.decode import decode, embed_prompts
from sac_wsi.model.nets.lora import LORA_NAMES, add_lora
from sac_wsi.model.nets.over_prompter import Stem, encode_with, mask_prompt, zero_masks
from sac_wsi.model.nets.prompter import Prompter, build_prompter
from sac_wsi.model.nets.sam import (
    State,
    build_encoder,
    build_mask_decoder,
    build_prompt_encoder,
    check_state,
    fitted,
)
from sac_wsi.model.nets.sizes import PIXEL_MEAN, PIXEL_STD, Family, ModelSize, encoder_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class TileFeatures:
    """Outputs of the networks for a batch of tiles.

    embedding        (B, width, cells, cells); None if it was not requested
    prompter_logits  (B, maps, side, side); None if the model has no prompter
    """

    embedding: Tensor | None
    prompter_logits: Tensor | None


class SacModel(nn.Module):
    """SAM's three parts under Meta's names, so that Meta's weights load by name, and the prompter."""

    def __init__(
        self,
        size: ModelSize,
        *,
        image_encoder: nn.Module | None,
        prompt_encoder: nn.Module | None,
        mask_decoder: nn.Module | None,
        prompter: Prompter | None,
        stem: Stem | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        self.image_encoder, self.prompt_encoder = image_encoder, prompt_encoder
        self.mask_decoder, self.prompter = mask_decoder, prompter
        self.stem = stem
        self.register_buffer("pixel_mean", torch.tensor(PIXEL_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(PIXEL_STD).view(3, 1, 1), persistent=False)

    def use_pixels(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        """Replace SAM's own normalisation of RGB values."""
        for name, values in (("pixel_mean", mean), ("pixel_std", std)):
            self.get_buffer(name).copy_(torch.tensor(values).view(3, 1, 1))

    def normalise(self, rgb: Tensor) -> Tensor:
        """Normalise (B, 3, side, side) RGB values 0..255 of any type."""
        if rgb.ndim != 4 or rgb.shape[1] != 3:
            raise ValueError(f"tiles are {tuple(rgb.shape)}, needed (B, 3, side, side)")
        mean, std = self.get_buffer("pixel_mean"), self.get_buffer("pixel_std")
        return (rgb.to(mean.dtype) - mean) / std

    def forward_features(self, images: Tensor, *, embed: bool = True) -> TileFeatures:
        """Run prompter and encoder on normalised tiles; ``embed=False`` skips the encoder."""
        logits, features = None, None
        if self.prompter is not None:
            flat = images.contiguous(memory_format=torch.channels_last)
            logits, features = self.prompter.with_features(flat)
        return TileFeatures(self._encode(images, features) if embed else None, logits)

    def encode(self, images: Tensor) -> Tensor:
        """Return the (B, width, cells, cells) embedding of normalised tiles."""
        embedding = (
            self._encode(images, None) if self.stem is None else self.forward_features(images).embedding
        )
        assert embedding is not None
        return embedding

    def _encode(self, images: Tensor, features: Sequence[Tensor] | None) -> Tensor:
        side = self.size.tile_px
        if tuple(images.shape[2:]) != (side, side):
            raise ValueError(f"tiles are {tuple(images.shape)}, needed (B, 3, {side}, {side})")
        encoder = self._part("image_encoder")
        if self.stem is None or features is None:
            return encoder(images)  # type: ignore[no-any-return]
        return encode_with(encoder, images, self.stem(features))

    def maps(self, images: Tensor) -> Tensor:
        """Return the prompter's (B, maps, side, side) logits; a side is a multiple of 16 or 32."""
        logits = self.forward_features(images, embed=False).prompter_logits
        if logits is None:
            raise ValueError(f"a model of family {self.size.family!r} has no prompter")
        return logits

    def position(self) -> Tensor:
        """Return the (1, width, cells, cells) positional encoding of the decoder."""
        encoder: nn.Module = self._part("prompt_encoder")
        with torch.autocast(self.get_buffer("pixel_mean").device.type, enabled=False):
            return encoder.get_dense_pe()  # type: ignore[no-any-return, operator]

    def decode(
        self,
        embedding: Tensor,
        xy: Tensor,
        labels: Tensor,
        *,
        boxes: Tensor | None = None,
        mask_logits: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Decode one set of prompts per image.

        Returns:
            Mask logits (B, 4, 4 cells, 4 cells) and predicted IoU (B, 4).
        """
        prompted = embed_prompts(
            self._part("prompt_encoder"), xy, labels, boxes=boxes, mask_logits=mask_logits
        )
        return decode(self._part("mask_decoder"), embedding, self.position(), prompted)

    def semantic(
        self, embedding: Tensor, xy: Tensor, labels: Tensor, prompter_logits: Tensor | None = None
    ) -> Tensor:
        """Return (B, 1, tile, tile) logits of the foreground mask, from all points of a tile at once.

        ``prompter_logits`` (B, tile, tile) are given to a model whose masks correct them.
        """
        prompt = None if prompter_logits is None else mask_prompt(prompter_logits, embedding.shape[-1])
        masks, _ = self.decode(embedding, xy, labels, mask_logits=prompt)
        logits = to_tile(masks[:, :1], self.size.tile_px)
        return logits if prompter_logits is None else prompter_logits[:, None].float() + logits

    def forward(self, images: Tensor, xy: Tensor, labels: Tensor) -> Tensor:
        """Return (B, 1, tile, tile) logits of the semantic mask of normalised tiles."""
        if not self.size.over_prompter:
            return self.semantic(self.encode(images), xy, labels)
        found = self.forward_features(images)
        assert found.embedding is not None
        assert found.prompter_logits is not None
        return self.semantic(found.embedding, xy, labels, found.prompter_logits[:, 0])

    def trainable(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the names and parameters that are trained."""
        return ((name, p) for name, p in self.named_parameters() if p.requires_grad)

    def _part(self, name: str) -> nn.Module:
        part = getattr(self, name)
        if part is None:
            raise ValueError(f"a model of family {self.size.family!r} has no {name}")
        return part  # type: ignore[no-any-return]


def to_tile(logits: Tensor, tile_px: int) -> Tensor:
    """Logits at the tile's own resolution, as SAM resizes its masks."""
    return functional.interpolate(
        logits.float(), size=(tile_px, tile_px), mode="bilinear", align_corners=False
    )


def build_model(size: ModelSize, *, exact_attention: bool = True) -> SacModel:
    """Build the model with random weights and its frozen parts marked, on the current device."""
    prompter = build_prompter(size.prompter) if size.family != "sam" else None
    if size.family == "unet":
        return SacModel(size, image_encoder=None, prompt_encoder=None, mask_decoder=None, prompter=prompter)
    encoder = build_encoder(size.encoder, size.tile_px)
    if size.family == "sac":
        add_lora(encoder, size.lora_rank, size.lora_blocks or None)
    if size.family == "msa":
        add_adapters(encoder)
    if exact_attention:
        use_exact_attention(encoder)
    model = SacModel(
        size,
        image_encoder=encoder,
        prompt_encoder=build_prompt_encoder(size.encoder, size.tile_px),
        mask_decoder=build_mask_decoder(size.encoder),
        prompter=prompter,
        stem=_stem(size, prompter) if size.over_prompter and prompter is not None else None,
    )
    if size.over_prompter:
        zero_masks(model.mask_decoder)
    mark_trainable(model)
    return model


def _stem(size: ModelSize, prompter: Prompter) -> Stem:
    encoder = encoder_size(size.encoder)
    return Stem(prompter.feature_widths, encoder.patch_px, encoder.width)


FAMILY_LEARNS: dict[Family, tuple[str, ...]] = {
    "sac": tuple(f".{name}" for name in LORA_NAMES),
    "msa": ("_adapter.",),
    "sam-ft": ("image_encoder.neck.",),
    "sam": (),
    "unet": (),
}
"""Parts of the names of the encoder's parameters that learn."""


def mark_trainable(model: SacModel) -> None:
    """Freeze all parameters but those that the paper trains."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(learns(model.size.family, name))


def learns(family: Family, name: str) -> bool:
    """Return whether a parameter is trained in the paper's runs of a family."""
    if name.startswith("image_encoder."):
        return any(part in name for part in FAMILY_LEARNS[family])
    return family != "sam"


def sam_state(model: nn.Module) -> State:
    """Return the part of a state that Meta's files hold: no updates, adapters or prompter."""
    ours = (*FAMILY_LEARNS["sac"], *FAMILY_LEARNS["msa"])
    return {
        name: value
        for name, value in model.state_dict().items()
        if not name.startswith(("prompter.", "stem.")) and not any(part in name for part in ours)
    }


def load_sam(model: nn.Module, state: State, what: str) -> None:
    """Put weights of SAM, at any tile size, into its parts of a model; the others stay as they are."""
    wanted = sam_state(model)
    ready = fitted(state, wanted)
    check_state(ready, wanted, what)
    model.load_state_dict(ready, strict=False)


def cell_px(size: ModelSize) -> int:
    """Return the side of one cell of the embedding, in pixels of the tile."""
    return encoder_size(size.encoder).patch_px
