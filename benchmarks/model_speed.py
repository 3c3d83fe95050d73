"""Speed of a shipped model in mm² per minute, compared with a plain loop over tiles.

    python benchmarks/model_speed.py [--model sac-tiny] [--side 2048] [--rounds 3]

The slide is synthetic, with 4,000 nuclei per mm². "ours" is `segment_slide`, all outputs. "naive" has the
same engine and weights, but does what a loop over tiles does: one tile and one batch of prompts at a time, in
float32, channels-first memory, separate batch norms, SAM's own attention, and each prompt decoded on the
whole embedding. Both times include loading the model. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from machine import in_child, measured, origin
from torch import Tensor

from sac_wsi import load_config, segment_slide
from sac_wsi.model.checkpoint.file import load_model
from sac_wsi.model.nets.lora import merge_lora
from sac_wsi.model.nets.sac import build_model
from sac_wsi.model.nets.unet import UNet
from sac_wsi.model.predict.choose import choose_segmenter
from sac_wsi.model.predict.segmenter import SacSegmenter
from sac_wsi.model.predict.torch_runner import TorchRunner
from sac_wsi.testing import SyntheticSlide

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VARIANTS = ("ours", "naive")
MPP = 0.25


class SequentialRunner(TorchRunner):
    """Processes one item after another, each with all threads."""

    def map(self, work: Callable[[Sequence[Any]], list[Any]], items: Sequence[Any]) -> list[Any]:
        """Return the results of all items."""
        return [result for item in items for result in work([item])]


class ChannelsFirstUNet(UNet):
    """The U-Net with torch's default memory layout."""

    def with_features(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        return super().with_features(x.contiguous())


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
        stock.prompter = ChannelsFirstUNet(stock.size.prompter.width, stock.size.prompter.maps)
        stock.prompter.load_state_dict(ours.prompter.state_dict())
    return SequentialRunner(stock.eval(), "cpu", bf16=False)


def segmenter_of(model: str, variant: str, changes: dict[str, Any]) -> SacSegmenter:
    ours = choose_segmenter(model, changes, device="cpu")
    if variant == "ours":
        return ours
    plain = replace(ours, precision="float32", settings=replace(ours.settings, window_cells=0))
    return Naive(**{field.name: getattr(plain, field.name) for field in fields(plain)})


def run(slide: Path, model: str, variant: str, changes: dict[str, Any], folder: Path) -> dict[str, Any]:
    done = segment_slide(
        slide,
        [folder / f"{variant}.geojson"],
        segmenter=segmenter_of(model, variant, changes),
        config=load_config(overrides=["tissue=none"]),
        overwrite=True,
    )
    assert done.summary is not None
    return {
        "nuclei": done.summary.nuclei,
        "segment_s": done.summary.wall_seconds,
        "mm2": done.summary.tissue_mm2,
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="sac-tiny")
    parser.add_argument("--set", dest="changes", default="{}", help="JSON of `sac.*` settings")
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=VARIANTS)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.only:
        slide = options.folder / "slide.tiff"
        changes = json.loads(options.changes)
        print(json.dumps(measured(lambda: run(slide, options.model, options.only, changes, options.folder))))
        return
    with tempfile.TemporaryDirectory() as folder:
        slide = SyntheticSlide(seed=9, shape_yx=(options.side,) * 2, mpp=MPP, density_per_mm2=4000)
        slide.write_tiff(Path(folder) / "slide.tiff")
        _report(options, Path(folder))


def _report(options: argparse.Namespace, folder: Path) -> None:
    arguments = [*sys.argv[1:], "--folder", str(folder)]
    rounds = [
        {variant: in_child(__file__, *arguments, "--only", variant) for variant in VARIANTS}
        for _ in range(options.rounds)
    ]
    starts = [start_s(options.model, folder / "slide.tiff", folder) for _ in range(options.rounds)]
    print(origin() + f" torch {torch.__version__}, {torch.get_num_threads()} threads.\n")
    print("| | mm² per minute | nuclei per mm² | peak MB |\n|---|--:|--:|--:|")
    for variant in VARIANTS:
        speed, nuclei, peak = (
            statistics.median(values)
            for values in (
                [60 * each[variant]["mm2"] / each[variant]["segment_s"] for each in rounds],
                [each[variant]["nuclei"] / each[variant]["mm2"] for each in rounds],
                [each[variant]["peak_mb"] for each in rounds],
            )
        )
        print(f"| {variant} | {speed:.2f} | {nuclei:,.0f} | {peak:,.0f} |")
    faster = statistics.median(
        each["ours"]["mm2"] / each["ours"]["segment_s"] * each["naive"]["segment_s"] / each["naive"]["mm2"]
        for each in rounds
    )
    print(
        f"\n* ours is **{faster:.1f} times** as fast as the naive variant, median of {options.rounds} rounds"
    )
    print(f"* from the start of the command to its first line of progress: {statistics.median(starts):.1f} s")


if __name__ == "__main__":
    main()
