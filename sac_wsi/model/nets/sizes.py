"""Sizes of all models, as plain data: the header of a checkpoint holds them, and they need no torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from sac_wsi.errors import ConfigError
from sac_wsi.settings.checks import check_range

Family = Literal["sac", "msa", "sam-ft", "sam", "unet"]
PrompterKind = Literal["unet", "lite0"]
_MOST_FILTERS, _MOST_CONVOLUTIONS, _MOST_TILE_PX = (
    1024,
    8,
    8192,
)  # a damaged card must not ask for more memory than there is
FAMILIES: tuple[Family, ...] = ("sac", "msa", "sam-ft", "sam", "unet")

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
"""SAM's normalisation of RGB values 0..255."""

UNET_LEVELS = 4
PROMPTER_SIDE_MULTIPLE = 16
"""Sides of the tiles of a prompter, of either kind, are multiples of this."""
LITE_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
)
"""Stages of EfficientNet-Lite0 (Tan and Le 2019): expansion, width, blocks, stride of the first, kernel.

Its last two, at stride 32, are left out: they see so far that two tiles would disagree within their halos."""
LITE_TAKEN = (0, 1, 2, 4)
"""Stages after which the decoder takes the features: the last ones at strides 2, 4, 8 and 16."""


@dataclass(frozen=True)
class EncoderSize:
    """SAM's image encoder: a vision transformer, or MobileSAM's TinyViT, whose other sizes are fixed.

    width          width of a token; of TinyViT that of its last stage
    patch_px       side of the square that becomes one token
    window         side of a local attention window, in tokens
    global_blocks  blocks that attend over the whole tile
    out_width      width of the embedding
    """

    width: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
    patch_px: int = 16
    window: int = 14
    out_width: int = 256
    kind: Literal["vit", "tiny_vit"] = "vit"


@dataclass(frozen=True)
class DecoderSize:
    """SAM's prompt encoder and mask decoder."""

    depth: int = 2
    heads: int = 8
    mlp_width: int = 2048
    iou_width: int = 256
    mask_prompt_width: int = 16


@dataclass(frozen=True)
class PrompterSize:
    """The auto-prompt generator.

    width  filters at the finest level; 32 in the paper
    maps   1: foreground, as in the paper. 3: foreground, centre, boundary: one prompt for each nucleus.
           5: also the offset (y, x) of each pixel from the centre of its nucleus
    kind   unet: the paper's. lite0: a decoder over EfficientNet-Lite0, at half of the U-Net's cost
    convolutions  3x3 convolutions of each decoder stage of lite0; those after the first add to their input
    """

    width: int = 32
    maps: int = 1
    kind: PrompterKind = "unet"
    convolutions: int = 1


@dataclass(frozen=True)
class ModelSize:
    """Size of one model.

    family      row of the paper's tables; it decides what is trained
    encoder     name in ``ENCODERS``
    tile_px     side of the input
    lora_rank   0: a quarter of the width of each block
    lora_blocks  numbers of the blocks with LoRA, from 0; empty: all blocks
    over_prompter  the encoder also gets the prompter's features, and masks correct the prompter's; not in the
                paper, and not for SAM's weights
    """

    family: Family = "sac"
    encoder: str = "vit_h"
    tile_px: int = 1024
    lora_rank: int = 0
    lora_blocks: tuple[int, ...] = ()
    prompter: PrompterSize = field(default_factory=PrompterSize)
    over_prompter: bool = False

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ConfigError(f"There is no model family {self.family!r}: needed {', '.join(FAMILIES)}.")
        if self.prompter.kind not in ("unet", "lite0"):
            raise ConfigError(f"size.prompter.kind is {self.prompter.kind!r}: needed unet or lite0.")
        if self.prompter.maps not in (1, 3, 5):
            raise ConfigError(f"size.prompter.maps is {self.prompter.maps}: needed 1, 3 or 5.")
        check_range("size.prompter.width", self.prompter.width, at_least=1, at_most=_MOST_FILTERS)
        most = _MOST_CONVOLUTIONS if self.prompter.kind == "lite0" else 1
        check_range("size.prompter.convolutions", self.prompter.convolutions, at_least=1, at_most=most)
        patch_px = 1 if self.family == "unet" else encoder_size(self.encoder).patch_px
        step = max(PROMPTER_SIDE_MULTIPLE, patch_px)
        if self.tile_px < 2 * step or self.tile_px % step:
            raise ConfigError(f"size.tile_px is {self.tile_px}: needed a multiple of {step}.")
        check_range("size.tile_px", self.tile_px, at_most=_MOST_TILE_PX)
        if self.over_prompter and self.family != "sac":
            raise ConfigError(f"over_prompter goes with family sac; found {self.family}. Leave it out.")
        if self.over_prompter and encoder_size(self.encoder).kind == "tiny_vit":
            raise ConfigError(f"over_prompter goes with SAM's own kind of encoder; found {self.encoder}.")
        check_range("size.lora_rank", self.lora_rank, at_least=0, at_most=encoder_size(self.encoder).width)


ENCODERS: dict[str, EncoderSize] = {
    "vit_b": EncoderSize(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": EncoderSize(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": EncoderSize(1280, 32, 16, (7, 15, 23, 31)),
    # MobileSAM's: small enough to run with pretrained weights on a CPU
    "vit_t": EncoderSize(320, 10, 10, (), window=7, kind="tiny_vit"),
    # the same architecture at a size that can be trained from random weights: 512 px in patches of 8 keep
    # SAM's embedding of 64 x 64
    "vit_tiny": EncoderSize(192, 12, 3, (2, 5, 8, 11), patch_px=8, out_width=128),
    # smaller still, for two cores: windows that divide the 64 cells, and no block that sees the whole tile,
    # which would take three times as long as all the others; the prompter already sees a wide context
    "vit_mini": EncoderSize(128, 4, 2, (), patch_px=8, window=16, out_width=128),
    # for tests
    "vit_nano": EncoderSize(32, 2, 2, (1,), patch_px=8, window=4, out_width=32),
}
_SAM_DECODER = DecoderSize()
_DECODERS: dict[str, DecoderSize] = {
    "vit_tiny": DecoderSize(mlp_width=512, iou_width=128),
    "vit_mini": DecoderSize(mlp_width=256, iou_width=128),
    "vit_nano": DecoderSize(heads=4, mlp_width=64, iou_width=32, mask_prompt_width=8),
}


def encoder_size(name: str) -> EncoderSize:
    """Return the size of an encoder by its name."""
    if name not in ENCODERS:
        raise ConfigError(f"There is no encoder {name!r}: needed one of {', '.join(ENCODERS)}.")
    return ENCODERS[name]


def decoder_size(encoder: str) -> DecoderSize:
    """Return the size of the decoder of an encoder."""
    return _DECODERS.get(encoder, _SAM_DECODER)


def paper_size(family: Family, encoder: str) -> ModelSize:
    """Return the size of the model in a row of the paper's tables."""
    size = ModelSize(family=family, encoder=encoder)
    return replace(size, tile_px=64 * encoder_size(encoder).patch_px)
