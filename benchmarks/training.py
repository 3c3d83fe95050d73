"""Measure training: whether the loader keeps up with the steps, and the time of one step of SAC.

    python benchmarks/training.py [--pack nuclei.zip] [--rounds 5] [--device cuda] [--encoders vit_b]

First a U-Net as in configs/train/unet_monuseg.yaml, on the pack or on synthetic images. Then LoRA, decoder
and prompter together on one tile, in bf16, each case in a process of its own. Random weights: neither time
nor memory depends on them. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from machine import in_child, measured, origin

from sac_wsi.datasets.images import SyntheticImages
from sac_wsi.model.nets.sac import build_model
from sac_wsi.model.nets.sizes import ENCODERS, paper_size
from sac_wsi.settings.read import read_settings
from sac_wsi.settings.typed import build
from sac_wsi.train.augment import NONE
from sac_wsi.train.config import ScheduleSettings, TrainConfig
from sac_wsi.train.initial_state import checkpoint_blocks, create_state
from sac_wsi.train.loader import BatchSampler, load_batches
from sac_wsi.train.objective import TrainingBatch
from sac_wsi.train.ranks import Ranks
from sac_wsi.train.source import open_source
from sac_wsi.train.state import State, new_state
from sac_wsi.train.step import take_step  # the function that the training loop calls

RECIPE = Path(__file__).parent.parent / "configs/train/unet_monuseg.yaml"
SYNTHETIC = ("data.kind=synthetic", "data.count=16", "data.side_px=1000")
WARM_STEPS = 4
STARVED_SHARE = 0.05
ENCODERS_SHOWN = ("vit_tiny", "vit_b", "vit_l", "vit_h")
CPU_ENCODERS = ("vit_tiny", "vit_b")
Step = Callable[[TrainingBatch], object]


def step_of(state: State, config: TrainConfig, device: str) -> Step:
    def step(batch: TrainingBatch) -> None:
        take_step(state, [batch], config, Ranks(0, 1, device), config.schedule.learning_rate)
        if device != "cpu":
            torch.cuda.synchronize()

    return step


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def recipe(pack: Path | None, overrides: list[str]) -> TrainConfig:
    data = ("data.kind=pack", f"data.images={pack}") if pack else SYNTHETIC
    return build(TrainConfig, read_settings(RECIPE, [*data, *overrides]))


def sampler_of(config: TrainConfig) -> BatchSampler:
    return BatchSampler(
        images=open_source(config.data, config.mpp, config.size.tile_px).part("train"),
        batch_size=config.schedule.batch,
        crop_px=config.crop_px,
        maps=config.size.prompter.maps,
        experts=0,
        nuclei=0,
        seed=0,
        augment=config.augment,
    )


def make(sampler: BatchSampler, steps: int, threads: int) -> None:
    for _ in load_batches(sampler, 0, steps, threads):
        pass


def together(sampler: BatchSampler, step: Step, steps: int, threads: int) -> tuple[float, float]:
    """Return the duration in seconds, and how much of it the step waited for batches."""
    coming = load_batches(sampler, 0, 10 * (steps + WARM_STEPS), threads)
    for _ in range(WARM_STEPS):
        step(next(coming))
    waited, started = 0.0, time.perf_counter()
    for _ in range(steps):
        asked = time.perf_counter()
        batch = next(coming)
        waited += time.perf_counter() - asked
        step(batch)
    taken = time.perf_counter() - started
    coming.close()  # type: ignore[attr-defined]
    return taken, waited


def loader_and_step(options: argparse.Namespace) -> None:
    config, steps, threads = recipe(options.pack, options.set), options.steps, options.threads
    sampler = sampler_of(config)
    step = step_of(create_state(config, options.device), config, options.device)
    batch = sampler.make_batch(0)
    make(sampler, len(sampler.images), threads)  # every image is read once
    for _ in range(WARM_STEPS):
        step(batch)
    rates: dict[str, list[float]] = {f"loader alone, {threads} threads": [], "step alone": [], "together": []}
    waits, samples = [], steps * sampler.batch_size
    for _ in range(options.rounds):
        alone = seconds(partial(make, sampler, steps, threads))
        stepping = seconds(lambda: [step(batch) for _ in range(steps)])
        both, waited = together(sampler, step, steps, threads)
        for found, taken in zip(rates.values(), (alone, stepping, both), strict=True):
            found.append(samples / taken)
        waits.append(waited / both)
    print_rates(config, rates, waits, steps)


def print_rates(config: TrainConfig, rates: dict[str, list[float]], waits: list[float], steps: int) -> None:
    schedule = config.schedule
    print(
        f"U-Net of width {config.size.prompter.width}, crops of {config.crop_px} px, batch {schedule.batch}, "
        f"{schedule.precision}; data: {config.data.kind}; {len(waits)} rounds of {steps} steps each.\n\n"
        "| | samples/s, median | lowest to highest |\n|---|--:|--:|"
    )
    for name, results in rates.items():
        print(f"| {name} | {statistics.median(results):.1f} | {min(results):.1f} to {max(results):.1f} |")
    _, step, both = rates.values()
    ratio = statistics.median(b / s for b, s in zip(both, step, strict=True))
    wait = statistics.median(waits)
    verdict = "starves" if wait > STARVED_SHARE else "does not starve"
    print(
        f"\nTogether / step alone: {ratio:.2f}. The step waits for a batch {wait:.1%} of the time: the "
        f"loader {verdict} it.\nOn a CPU the two share the cores: what the ratio lacks beyond the waiting is "
        "the loader's part of them."
    )


def lora_step(encoder: str, checkpointing: bool, device: str, rounds: int) -> dict[str, Any]:
    """Return the median seconds of a step and the peak memory of the device."""
    size = paper_size("sac", encoder)
    config = TrainConfig(size=size, schedule=ScheduleSettings(batch=1, precision="bf16"))
    model = build_model(size).to(device)
    if checkpointing and model.image_encoder is not None:
        checkpoint_blocks(model.image_encoder)
    chosen = [p for p in model.parameters() if p.requires_grad]
    state = new_state(model, torch.optim.AdamW(chosen, lr=1e-4), over_sam=True)
    step = step_of(state, config, device)
    image = SyntheticImages(1, size.tile_px, config.mpp, 0)
    objective = config.objective
    batch = BatchSampler(image, 1, size.tile_px, 1, 0, objective.nuclei, 0, NONE).make_batch(0)
    step(batch)
    result = {"step_s": statistics.median(seconds(partial(step, batch)) for _ in range(rounds))}
    if device != "cpu":
        result["device_mb"] = torch.cuda.max_memory_allocated() / 1e6
    return result


def lora_row(encoder: str, checkpointing: bool, options: argparse.Namespace) -> str:
    how = "on" if checkpointing else "off"
    row = f"| {encoder} | {paper_size('sac', encoder).tile_px}² | {how} |"
    if encoder not in options.encoders:
        return f"{row} not measured | not measured |"
    arguments = ("--device", options.device, "--case-steps", str(options.case_steps))
    try:
        result = in_child(__file__, *arguments, "--case", encoder, how)
    except subprocess.CalledProcessError as error:
        return f"{row} ended with {error.returncode} | |"
    if "failed" in result:
        return f"{row} {result['failed']} | |"
    return f"{row} {result['step_s']:.2f} | {result.get('device_mb', result['peak_mb']) / 1e3:.1f} |"


def case(options: argparse.Namespace) -> None:
    """Measure one case in the child process and print it."""
    encoder, how = options.case
    try:
        result = measured(partial(lora_step, encoder, how == "on", options.device, options.case_steps))
    except torch.OutOfMemoryError:
        result = {"failed": "out of memory"}
    print(json.dumps(result))


def lora_steps(options: argparse.Namespace) -> None:
    memory = "peak GB of the process" if options.device == "cpu" else "peak GB on the device"
    print(
        "\nOne step of LoRA, decoder and prompter of width 32: one tile, its semantic mask and 8 nuclei, "
        f"bf16; median of {options.case_steps} after the first.\n"
    )
    print(f"| encoder | tile | gradient checkpointing | s a step | {memory} |\n|---|---|---|--:|--:|")
    for encoder in ENCODERS_SHOWN:
        for checkpointing in (False, True):
            print(lora_row(encoder, checkpointing, options), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    has_cuda = torch.cuda.is_available()
    parser.add_argument("--device", default="cuda" if has_cuda else "cpu", choices=("cpu", "cuda"))
    parser.add_argument("--pack", type=Path, help="of pipelines/pack_training.py; without: synthetic images")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="of the U-Net's config"
    )
    parser.add_argument("--rounds", type=int, default=5, help="of the first table; 0 leaves it out")
    parser.add_argument("--steps", type=int, default=20, help="in a round")
    parser.add_argument("--threads", type=int, default=2, help="of the loader")
    parser.add_argument("--case-steps", type=int, default=3)
    parser.add_argument("--encoders", nargs="*", choices=tuple(ENCODERS), help="of the second table")
    parser.add_argument("--all", action="store_true", help="on a CPU, too, all encoders")
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        case(options)
        return
    if options.encoders is None:
        options.encoders = CPU_ENCODERS if options.device == "cpu" and not options.all else ENCODERS_SHOWN
    device = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    print(f"{origin()}\n\ntorch {torch.__version__}, {device}.\n")
    if options.rounds:
        loader_and_step(options)
    lora_steps(options)


if __name__ == "__main__":
    main()
