"""Lost, doubled and split nuclei per millimetre of seam, for sac-wsi and two peers.

    python benchmarks/seams.py --peers-python PEERS_VENV/bin/python

Each case runs the whole engine on a synthetic slide, with an oracle that returns slightly different nuclei in
each tile. The peers (benchmarks/seam_peers.py, in a separate environment made with peers-constraints.txt) get
the same detections of the same tiles. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from machine import origin
from skimage.draw import polygon as fill_polygon

from sac_wsi import load_config, segment_slide
from sac_wsi.nuclei.masks import labels_from_nuclei
from sac_wsi.nuclei.polygons import outlines
from sac_wsi.testing import OracleSegmenter, SyntheticSlide
from sac_wsi.tiling.grid import Grid, make_grid
from sac_wsi.tiling.segmenter import RgbTile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

TILES_PX = (320, 384, 448, 512, 640, 768, 1024, 1536)
PEER_TILES_PX = (384, 1024)
JITTERS_PX = (0, 1, 2, 3)
KINDS = {"separated": 0.0, "touching": 0.6}
FRAGMENT = 0.5
"""A second piece below this part of the true area is a split, otherwise a double."""


@dataclass(frozen=True)
class Errors:
    """Numbers of true nuclei that were lost, found twice, or split."""

    lost: int
    doubled: int
    split: int

    def per_mm(self, seam_mm: float) -> str:
        return " / ".join(f"{n / seam_mm:.3g}" for n in (self.lost, self.doubled, self.split))

    def __add__(self, other: Errors) -> Errors:
        return Errors(self.lost + other.lost, self.doubled + other.doubled, self.split + other.split)


NONE = Errors(0, 0, 0)


def count_errors(rings_xy: Iterator[NDArray[np.float64]], truth: NDArray[np.int32]) -> Errors:
    """Count errors. A result belongs to the true nucleus that it overlaps most; each needs exactly one."""
    area = np.bincount(truth.ravel())
    pieces: dict[int, list[int]] = {}
    for ring in rings_xy:
        # vertices lie on pixel edges; pixel centres are half a pixel inside
        y, x = fill_polygon(ring[:, 1] - 0.5, ring[:, 0] - 0.5, truth.shape)
        shared = np.bincount(truth[y, x])
        shared[:1] = 0
        if shared.any():
            pieces.setdefault(int(shared.argmax()), []).append(int(shared.max()))
    doubled = split = 0
    for nucleus, covered in pieces.items():
        for extra in sorted(covered)[:-1]:
            doubled += extra >= FRAGMENT * area[nucleus]
            split += extra < FRAGMENT * area[nucleus]
    return Errors(len(area) - 1 - len(pieces), doubled, split)


def grid_of(slide: SyntheticSlide, tile_px: int) -> Grid:
    return make_grid(slide.shape_yx, slide.mpp, load_config(overrides=overrides(tile_px)).grid)


def overrides(tile_px: int) -> list[str]:
    return [f"grid.tile_px={tile_px}", "tissue=none"]


def seam_mm(grid: Grid, mpp: float) -> float:
    rows, cols = grid.tiles_yx
    return ((rows - 1) * grid.frame.width + (cols - 1) * grid.frame.height) * mpp / 1000


def ours(
    path: Path, oracle: OracleSegmenter, tile_px: int
) -> tuple[list[NDArray[np.float64]], dict[str, float]]:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        run = segment_slide(
            path,
            Path(folder) / "n.zarr",
            segmenter=oracle,
            config=load_config(overrides=overrides(tile_px)),
        )
        assert run.summary is not None
        rings = [rows.polygon_px(i) for rows in run.nuclei.batches() for i in range(len(rows))]
        return rings, dict(run.summary.seconds)


def detections(grid: Grid, oracle: OracleSegmenter) -> dict[str, NDArray[Any]]:
    """Return all detections of all tiles as polygons: the input of the peers."""
    tiles, scores, starts, rings, reads = [], [], [np.zeros(1, np.int64)], [], []
    for i in range(grid.tile_count):
        tile = grid.tile(i)
        reads.append([tile.read.y0, tile.read.x0, tile.read.y1, tile.read.x1])
        [found] = oracle.segment([RgbTile(np.zeros((1, 1, 3), np.uint8), tile.read)])
        start, xy = outlines(found, 1.0)
        tiles.append(np.full(len(found), i, np.int32))
        scores.append(found.score)
        starts.append(start[1:] + starts[-1][-1])
        rings.append(xy / 100)
    return {
        "tile": np.concatenate(tiles),
        "read_box": np.array(reads, np.int32),
        "slide_shape": np.array(grid.frame.shape),
        "score": np.concatenate(scores),
        "polygon_start": np.concatenate(starts),
        "polygon_xy": np.concatenate(rings),
    }


def peer(
    python: str, name: str, seen: dict[str, NDArray[Any]], folder: Path
) -> tuple[list[NDArray[np.float64]], dict[str, Any]]:
    np.savez(folder / "in.npz", **seen)  # type: ignore[arg-type]
    script = str(Path(__file__).with_name("seam_peers.py"))
    command = [
        python,
        "-W",
        "ignore",
        script,
        "--peer",
        name,
        str(folder / "in.npz"),
        str(folder / "out.npz"),
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    kept = np.load(folder / "out.npz")
    start, xy = kept["polygon_start"], kept["polygon_xy"]
    rings = [xy[start[i] : start[i + 1]] for i in range(len(start) - 1)]
    return rings, json.loads(done.stdout.splitlines()[-1])


def errors_table(path: Path, slide: SyntheticSlide, kind: str, peers_python: str | None) -> None:
    truth = labels_from_nuclei(slide.truth(slide.box), slide.box)
    names = ["sac-wsi", *(["sopa", "lazyslide"] if peers_python else [])]
    print(f"\n### {kind.capitalize()} nuclei: lost / doubled / split per mm of seam\n")
    print(f"{truth.max():,} nuclei on {slide.shape_yx[0]:,}² pixels of {slide.mpp} µm.\n")
    print(f"| tile px | seam mm | jitter px | {' | '.join(names)} |")
    print(f"|--:|--:|--:|{'--:|' * len(names)}")
    for tile_px in TILES_PX:
        grid = grid_of(slide, tile_px)
        for jitter_px in JITTERS_PX:
            oracle = OracleSegmenter(slide, jitter_px=jitter_px)
            found = [count_errors(iter(ours(path, oracle, tile_px)[0]), truth)]
            if peers_python and tile_px in PEER_TILES_PX:
                found += _peers_errors(peers_python, names[1:], detections(grid, oracle), path.parent, truth)
            length = seam_mm(grid, slide.mpp)
            cells = [errors.per_mm(length) for errors in found] + [""] * (len(names) - len(found))
            print(f"| {tile_px} | {length:.1f} | {jitter_px} | {' | '.join(cells)} |", flush=True)


def _peers_errors(
    python: str, names: Sequence[str], seen: dict[str, NDArray[Any]], folder: Path, truth: NDArray[np.int32]
) -> list[Errors]:
    return [count_errors(iter(peer(python, name, seen, folder)[0]), truth) for name in names]


def cost_table(path: Path, slide: SyntheticSlide, peers_python: str) -> None:
    """Print time and memory of the merge alone, on a larger slide."""
    oracle, grid = OracleSegmenter(slide, jitter_px=2), grid_of(slide, 1024)
    seen = detections(grid, oracle)
    print(f"\n### Cost of merging {len(seen['tile']):,} detections of {slide.truth_count():,} nuclei\n")
    print("| | s | memory on top of the loaded detections, MB |")
    print("|---|--:|--:|")
    begin = time.perf_counter()
    _, seconds = ours(path, oracle, 1024)
    merge = sum(seconds[stage] for stage in ("claim", "seams", "finish"))
    print(
        f"| sac-wsi: claim + seams + finish (stain, trimming, outlines, measurements and UUIDs included; the "
        f"whole run took {time.perf_counter() - begin:.1f} s) | {merge:.2f} | a block's |"
    )
    for name in ("sopa", "lazyslide"):
        _, facts = peer(peers_python, name, seen, path.parent)
        more = facts["peak_rss_mb"] - facts["baseline_rss_mb"]
        print(
            f"| {name} {facts['version']}: the merge call | {facts['seconds']:.2f} | {more:.0f} |", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--cost-side", type=int, default=10_240)
    parser.add_argument("--peers-python", help="Python of the environment that has sopa and LazySlide")
    options = parser.parse_args()
    print(origin())
    with tempfile.TemporaryDirectory() as folder:
        for kind, touching in KINDS.items():
            slide = SyntheticSlide(
                seed=11,
                shape_yx=(options.side, options.side),
                touching_fraction=touching,
                seams_px=(416, 416),
            )
            path = Path(folder) / f"{kind}.tiff"
            slide.write_tiff(path)
            errors_table(path, slide, kind, options.peers_python)
        if options.peers_python:
            slide = SyntheticSlide(seed=12, shape_yx=(options.cost_side, options.cost_side))
            path = Path(folder) / "cost.tiff"
            slide.write_tiff(path)
            cost_table(path, slide, options.peers_python)


if __name__ == "__main__":
    main()
