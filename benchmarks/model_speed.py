"""Speed of a model on a CPU in mm² per minute: the default engine, PyTorch, and a plain loop over tiles.

    python benchmarks/model_speed.py [--model sac-tiny] [--side 4096] [--rounds 3] [--cores 1 2]
    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/model_speed.py    # as a processor without AVX-512 and bf16

The slide is synthetic, with 4,000 nuclei per mm². "ours" is `segment_slide`, all outputs, as `segment` runs
it; "torch" is the same with `engine=torch`. "naive" has the same weights and views, but does what a loop over
tiles does: one tile and one batch of prompts at a time, in float32, channels-first memory, separate batch
norms, SAM's own attention, and each prompt decoded on the whole embedding. All times include loading the
model.

The operations are counted on the network that runs, for each tile and view of the slide. They are compared
with the rate of a matrix product (1,024 x 1,024 x 1,024) on OpenVINO, in the same precision and on the same
cores. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
import torch
from machine import in_child, measured, origin
from openvino import opset13 as ops
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sac_wsi import load_config, segment_slide
from sac_wsi.engine.plan import make_plan
from sac_wsi.model.checkpoint.file import load_model
from sac_wsi.model.nets.lora import merge_lora
from sac_wsi.model.nets.sac import build_model
from sac_wsi.model.predict.choose import choose_segmenter
from sac_wsi.model.predict.segmenter import SacSegmenter
from sac_wsi.model.predict.torch_runner import TorchRunner
from sac_wsi.testing import SyntheticSlide

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VARIANTS = ("ours", "torch", "naive")
MPP = 0.25
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")


class SequentialRunner(TorchRunner):
    """Processes one item after another, each with all threads."""

    def map(self, work: Callable[[Sequence[Any]], list[Any]], items: Sequence[Any]) -> list[Any]:
        """Return the results of all items."""
        return [result for item in items for result in work([item])]


class ChannelsFirst(nn.Module):
    """A prompter with torch's default memory layout."""

    def __init__(self, prompter: nn.Module) -> None:
        super().__init__()
        self.prompter = prompter.to(memory_format=torch.contiguous_format)

    def with_features(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return logits and features."""
        return self.prompter.with_features(x.contiguous())


@dataclass(frozen=True, eq=False)
class Naive(SacSegmenter):
    """The segmenter without this package's optimisations."""

    def _runner(self) -> TorchRunner:
        return _stock(self.path)


@lru_cache(maxsize=1)
def _stock(path: Path) -> TorchRunner:
    ours, header = load_model(path)
    stock = build_model(header.card.size, exact_attention=False)
    stock.load_state_dict(ours.state_dict())
    stock.use_pixels(header.card.pixel_mean, header.card.pixel_std)
    if stock.image_encoder is not None:
        merge_lora(stock.image_encoder)
    if stock.prompter is not None:
        stock.prompter = ChannelsFirst(stock.prompter)
    return SequentialRunner(stock.eval(), "cpu", bf16=False)


def segmenter_of(model: str, variant: str, changes: dict[str, Any]) -> SacSegmenter:
    """Return the model as it ships, on PyTorch, or naive."""
    engine = "auto" if variant == "ours" else "torch"
    ours = choose_segmenter(model, changes, device="cpu", engine=engine)
    if variant != "naive":
        return ours
    plain = replace(ours, precision="float32", settings=replace(ours.settings, window_cells=0))
    return Naive(**{field.name: getattr(plain, field.name) for field in fields(plain)})


def run(slide: Path, model: str, variant: str, changes: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Segment the slide and return what is compared."""
    segmenter = segmenter_of(model, variant, changes)
    done = segment_slide(
        slide,
        [folder / f"{variant}.geojson"],
        segmenter=segmenter,
        config=load_config(overrides=["tissue=none"]),
        overwrite=True,
    )
    assert done.summary is not None
    return {
        "nuclei": done.summary.nuclei,
        "segment_s": done.summary.wall_seconds,
        "mm2": done.summary.tissue_mm2,
        "tiles": done.summary.tiles["done"],
        "engine": f"{segmenter.engine} {segmenter.precision}",
    }


def start_s(model: str, slide: Path, folder: Path) -> float:
    """Return the seconds from the start of the command to its first line of progress."""
    command = [sys.executable, "-c", "import sys; from sac_wsi.cli import main; sys.exit(main())", "segment"]
    command += [str(slide), "--out", str(folder / "start.geojson"), "--model", model, "--tissue", "none"]
    begin = time.perf_counter()
    with subprocess.Popen([*command, "--overwrite"], stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        line = child.stderr.readline()
        if '"stage"' not in line:
            raise SystemExit(line)
        seconds = time.perf_counter() - begin
        child.terminate()
        child.communicate()
    return seconds


def tile_flop(model: str, changes: dict[str, Any]) -> float:
    """Return the operations of the prompter on one tile, all views: two for a multiplication and addition."""
    segmenter = choose_segmenter(model, changes, device="cpu", engine="torch")
    if segmenter.settings.mode != "prompter":
        return float("nan")  # encoder and decoder depend on the number of nuclei
    size = segmenter.header.card.size
    with torch.device("meta"):
        network = build_model(size).prompter.eval()
        image = torch.zeros(1, 3, size.tile_px, size.tile_px)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(image)
    return counter.get_total_flops() * segmenter.settings.tta


def matrix_gflops(precision: str, threads: int, side: int = 1024) -> float:
    """Return the measured rate of matrix products on OpenVINO."""
    left, right = (ops.parameter([side, side], np.float32) for _ in range(2))
    graph = ov.Model([ops.result(ops.matmul(left, right, False, False))], [left, right])
    settings = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}
    settings |= {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    request = ov.Core().compile_model(graph, "CPU", settings).create_infer_request()
    values = [np.random.default_rng(0).standard_normal((side, side), np.float32) for _ in range(2)]
    request.infer(values)
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < 1:
        request.infer(values)
        count += 1
    return 2 * side**3 * count / (time.perf_counter() - begin) / 1e9


def processor() -> str:
    """Return the features of the processor that decide the speed, and what limits their use."""
    text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
    used = f"; instructions limited to {limit}" if limit else ""
    return f"Processor: {', '.join(flag for flag in _FLAGS if flag in flags)}{used}."


def main() -> None:
    """Read the command line; measure in child processes, or be one of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="sac-tiny")
    parser.add_argument("--set", dest="changes", default="{}", help="JSON of `sac.*` settings")
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, nargs="+", default=[len(os.sched_getaffinity(0))])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--only", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    changes = json.loads(options.changes)
    if options.only:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores[0]])
        slide = options.folder / "slide.tiff"
        print(json.dumps(measured(lambda: run(slide, options.model, options.only, changes, options.folder))))
        return
    with tempfile.TemporaryDirectory() as folder:
        slide = SyntheticSlide(seed=9, shape_yx=(options.side,) * 2, mpp=MPP, density_per_mm2=4000)
        slide.write_tiff(Path(folder) / "slide.tiff")
        _report(options, changes, Path(folder))


def _report(options: argparse.Namespace, changes: dict[str, Any], folder: Path) -> None:
    print(f"{origin()} torch {torch.__version__}, OpenVINO {ov.get_version().split('-')[0]}. {processor()}\n")
    flop = tile_flop(options.model, changes)
    slide = folder / "slide.tiff"
    core_px = make_plan(slide, load_config(overrides=[f"model={options.model}"])).grid.core_px
    print("| | cores | mm² per minute | nuclei per mm² | peak MB | GFLOP/s | of a matrix product |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for cores in options.cores:
        rounds = [
            {
                variant: in_child(
                    __file__,
                    *("--model", options.model, "--set", options.changes, "--folder", str(folder)),
                    *("--only", variant, "--cores", str(cores)),
                )
                for variant in options.variants
            }
            for _ in range(options.rounds)
        ]
        rates: dict[str, float] = {}
        for variant in options.variants:
            print(_row(variant, cores, [each[variant] for each in rounds], flop, rates))
        if {"ours", "naive"} <= set(options.variants):
            faster = statistics.median(
                each["naive"]["segment_s"] / each["ours"]["segment_s"] for each in rounds
            )
            print(f"\n{cores} cores: ours is **{faster:.1f} times** as fast as naive, the median.\n")
    starts = [start_s(options.model, slide, folder) for _ in range(options.rounds)]
    per_mm2 = flop / (core_px * MPP / 1000) ** 2 / 1e12
    print(f"\n* operations: {per_mm2:.2f} TFLOP per mm², views and halo included")
    print(f"* from the start of the command to its first line of progress: {statistics.median(starts):.1f} s")


def _row(variant: str, cores: int, runs: list[dict[str, Any]], flop: float, rates: dict[str, float]) -> str:
    """Return a line of the table: medians over the rounds."""
    engine = runs[0]["engine"]
    speed, nuclei, peak, gflops = (
        statistics.median(values)
        for values in (
            [60 * each["mm2"] / each["segment_s"] for each in runs],
            [each["nuclei"] / each["mm2"] for each in runs],
            [each["peak_mb"] for each in runs],
            [flop * each["tiles"] / each["segment_s"] / 1e9 for each in runs],
        )
    )
    precision = engine.split()[1]
    if precision not in rates:
        rates[precision] = matrix_gflops(precision, cores)
    share = f"{100 * gflops / rates[precision]:.0f} % of {rates[precision]:.0f}"
    name = f"{variant} ({engine})"
    return f"| {name} | {cores} | {speed:.2f} | {nuclei:,.0f} | {peak:,.0f} | {gflops:.0f} | {share} |"


if __name__ == "__main__":
    main()
