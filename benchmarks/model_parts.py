"""What the parts of the model cost here, each beside the stock one in the same run.

    python benchmarks/model_parts.py [--rounds 5]

Random weights: time does not depend on them. Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING

import torch
from machine import origin

from sac_wsi.model.nets.decode import decode_locally, embed_prompts, window_corners
from sac_wsi.model.nets.sac import SacModel, build_model, cell_px
from sac_wsi.model.nets.sizes import ModelSize, encoder_size

if TYPE_CHECKING:
    from collections.abc import Callable

PROMPTS = 16


def seconds(work: Callable[[], object], rounds: int) -> float:
    work()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def decoders(encoder: str, device: str, rounds: int) -> None:
    size = ModelSize("sam", encoder, 64 * encoder_size(encoder).patch_px)
    model = build_model(size).to(device).eval()
    assert model.prompt_encoder is not None
    assert model.mask_decoder is not None
    embedding = torch.randn(1, encoder_size(encoder).out_width, 64, 64, device=device)
    xy = torch.rand(PROMPTS, 1, 2, device=device) * size.tile_px
    prompted = embed_prompts(model.prompt_encoder, xy, torch.ones(PROMPTS, 1, device=device))
    dense = prompted.dense
    owner = torch.zeros(PROMPTS, dtype=torch.long, device=device)

    def stock() -> object:
        return model.mask_decoder.predict_masks(embedding, model.position(), prompted.tokens, dense)  # type: ignore[operator, union-attr]

    base = seconds(stock, rounds) / PROMPTS
    print(f"| {encoder} | stock, 64 x 64 | {1e3 * base:.2f} | |")
    for window in (64, 32, 16, 8):
        corners = window_corners(xy[:, 0], cell_px(size), (64, 64), window)

        def local(corners: torch.Tensor = corners, window: int = window) -> object:
            return decode_locally(
                model.mask_decoder, embedding, owner, model.position(), prompted, corners, window
            )

        own = seconds(local, rounds) / PROMPTS
        print(f"| {encoder} | window of {window} | {1e3 * own:.2f} | {base / own:.1f} |", flush=True)


def encoders(encoder: str, device: str, rounds: int) -> None:
    size = ModelSize("sam", encoder, 64 * encoder_size(encoder).patch_px)
    base = 0.0
    for title, exact, bf16 in (
        ("stock attention, float32", False, False),
        ("exact attention, float32", True, False),
        ("exact attention, bf16", True, True),
    ):
        model: SacModel = build_model(size, exact_attention=exact).to(device).eval()
        images = torch.randn(1, 3, size.tile_px, size.tile_px, device=device)

        def run(model: SacModel = model, images: torch.Tensor = images, bf16: bool = bf16) -> object:
            with torch.autocast(device, torch.bfloat16, enabled=bf16):
                return model.encode(images)

        own = seconds(run, rounds)
        base = base or own
        print(f"| {encoder} | {title} | {1e3 * own:.0f} | {base / own:.1f} |", flush=True)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--encoders", nargs="+", default=["vit_tiny", "vit_b"])
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"{origin()}\n\ntorch {torch.__version__}, {device}, median of {options.rounds}.\n")
    print("| decoder | over | ms a prompt | times stock |\n|---|---|--:|--:|")
    for encoder in options.encoders:
        decoders(encoder, device, options.rounds)
    print("\n| encoder, one tile | how | ms | times stock |\n|---|---|--:|--:|")
    for encoder in options.encoders:
        encoders(encoder, device, options.rounds)


if __name__ == "__main__":
    main()
