"""Merge the duplicated nuclei of overlapping tiles as two peers do: sopa and LazySlide.

    python -m venv peers && peers/bin/pip install -c benchmarks/peers-constraints.txt sopa lazyslide
    peers/bin/python benchmarks/seam_peers.py --peer sopa|lazyslide IN.npz OUT.npz [--timeout S]

It runs in the environment of the peers, so it imports nothing from sac_wsi. It calls each peer's own function
with its defaults, after the filters that the peer's pipeline runs before that call:

sopa 2.2.11, `sopa.segmentation.resolve.solve_conflicts(cells)`, as in `custom_staining_based` and the
    command `sopa resolve generic`: threshold 0.5 (intersection over the smaller area), no patch
    indices, two cells that conflict are replaced by their union. Before it, `ensure_polygon` on every
    cell, as at the end of `sopa.shapes.vectorize`. Nothing is dropped at the tile border. Left out: the
    smoothing in `vectorize`, which belongs to mask -> polygon; the input here is polygons.
LazySlide 0.13.0, `lazyslide.segmentation._seg_runner._nms_by_tissue(cells, tissues, "prob")`, as in
    `CellSegmentationRunner.run` (`zs.seg.cells`): `lazyslide.cv.nms`, IoU above 0.2, highest score
    kept. Before it, as in `_postprocess_batch`: every cell that crosses the line 2 px inside its tile
    is dropped, then `repair_invalid_geometry`; `size_filter` and `overlap_ownership` are off by
    default. The whole slide is its one tissue. A tile side on the slide's own border draws no line, as
    for a LazySlide tile that hangs over it: a nucleus lost there would be no loss at a seam.

IN.npz, pixels of one level, slide frame, every detection of every tile as read (halo included):
    tile (N,) int32; read_box (T, 4) int32 y0, x0, y1, x1; slide_shape (2,) height, width;
    score (N,) float32; polygon_start (N+1,) int64; polygon_xy (P, 2) float64, open rings.
OUT.npz: polygon_start and polygon_xy of the cells left, open outer rings.

Prints one JSON line. `seconds` and `cpu_seconds` are the merge call alone; `prepare_seconds` is making
the polygons and the filters before the call. `imports_rss_mb` is before reading, `baseline_rss_mb`
holds the polygons too, `peak_rss_mb` is the highest until the call returned. Exit status 124 and
`"timed_out": true` when --timeout ends the work.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

if TYPE_CHECKING:
    from types import FrameType

BORDER_PX = 2  # LazySlide: box(0, 0, width, height).buffer(-2).boundary
TIMED_OUT = 124  # as timeout(1)


@dataclass(frozen=True)
class Detections:
    """Every nucleus of every tile, duplicates included; pixels, slide frame, in tile order."""

    tile: NDArray[np.int32]
    read_box: NDArray[np.int32]  # (T, 4) y0, x0, y1, x1
    slide_shape: tuple[int, int]  # height, width
    score: NDArray[np.float32]
    polygons: NDArray[np.object_]  # shapely Polygon


@dataclass(frozen=True)
class Peer:
    """A peer's two steps: what its pipeline does before the merge, and the merge."""

    package: str
    prepare: Callable[[Detections], gpd.GeoDataFrame]
    merge: Callable[[gpd.GeoDataFrame], gpd.GeoDataFrame]


def sopa() -> Peer:
    """Union of the cells whose intersection is at least half of the smaller one."""
    from sopa.segmentation.resolve import solve_conflicts
    from sopa.shapes import to_valid_polygons

    def prepare(found: Detections) -> gpd.GeoDataFrame:
        return to_valid_polygons(gpd.GeoDataFrame(geometry=found.polygons)).reset_index(drop=True)

    return Peer("sopa", prepare, solve_conflicts)


def lazyslide() -> Peer:
    """Drop the cells cut by their tile's border, then keep the best score of those with IoU over 0.2."""
    from lazyslide.cv.mask import repair_invalid_geometry
    from lazyslide.segmentation._seg_runner import _nms_by_tissue

    tissues = gpd.GeoDataFrame(geometry=[])

    def prepare(found: Detections) -> gpd.GeoDataFrame:
        nonlocal tissues
        height, width = found.slide_shape
        tissues = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, width, height)])
        borders = tile_borders(found.read_box, found.slide_shape)
        whole = ~shapely.intersects(borders[found.tile], found.polygons)
        cells = gpd.GeoDataFrame({"prob": found.score[whole]}, geometry=found.polygons[whole])
        cells["geometry"] = repair_invalid_geometry(cells.geometry)
        return cells

    def merge(cells: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
        return _nms_by_tissue(cells, tissues, "prob")

    return Peer("lazyslide", prepare, merge)


PEERS: dict[str, Callable[[], Peer]] = {"sopa": sopa, "lazyslide": lazyslide}


def tile_borders(read_box: NDArray[np.int32], slide_shape: tuple[int, int]) -> NDArray[np.object_]:
    """The line BORDER_PX inside each tile; a side on the slide's border is moved off the slide."""
    height, width = slide_shape
    y0, x0, y1, x1 = read_box.T.astype(np.float64)
    reach = float(max(height, width))  # no polygon lies that far out
    outer = shapely.box(
        np.where(x0 <= 0, -reach, x0),
        np.where(y0 <= 0, -reach, y0),
        np.where(x1 >= width, width + reach, x1),
        np.where(y1 >= height, height + reach, y1),
    )
    borders = shapely.boundary(shapely.buffer(outer, -BORDER_PX))
    shapely.prepare(borders)
    return np.asarray(borders)


def read_detections(path: Path) -> Detections:
    """Load IN.npz; tiles in order, as both peers concatenate them."""
    with np.load(path) as held:
        tile, score = held["tile"], held["score"]
        start, xy = held["polygon_start"], held["polygon_xy"]
        read_box, (height, width) = held["read_box"], held["slide_shape"]
    points = np.diff(start)
    if len(points) != len(tile) or len(score) != len(tile):
        counts = f"tile {len(tile)}, score {len(score)}, polygons {len(points)}"
        raise ValueError(f"{path}: needs one tile and one score per polygon; found {counts}")
    if not len(tile) or points.min() < 3:
        thin = int((points < 3).sum())
        raise ValueError(f"{path}: needs 3 points per polygon; {thin} of {len(points)} have fewer")
    rings = shapely.linearrings(xy, indices=np.repeat(np.arange(len(points)), points))
    order = np.argsort(tile, kind="stable")
    polygons = shapely.polygons(rings)[order]
    return Detections(tile[order], read_box, (int(height), int(width)), score[order], polygons)


def write_cells(path: Path, cells: gpd.GeoDataFrame) -> int:
    """Save the outer rings; returns how many cells had several parts (the largest part is saved)."""
    geometry = cells.geometry.to_numpy()
    several = shapely.get_num_geometries(geometry) > 1
    largest = [max(cell.geoms, key=lambda part: part.area) for cell in geometry[several]]
    geometry = geometry.copy()
    geometry[several] = largest
    rings = shapely.get_exterior_ring(geometry)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    open_point = np.append(ring[1:] == ring[:-1], False) if len(ring) else np.zeros(0, bool)
    start = np.concatenate([[0], np.cumsum(np.bincount(ring[open_point], minlength=len(rings)))])
    np.savez(path, polygon_start=start.astype(np.int64), polygon_xy=xy[open_point])
    return int(several.sum())


def rss_mb(field: str) -> float:
    """`VmRSS` or `VmHWM` of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kib = next((int(line.split()[1]) for line in lines if line.startswith(field)), None)
    # ru_maxrss comes second: it starts from the parent's size at exec
    return round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if kib is None else kib) / 1024, 1)


def raise_timeout(signum: int, frame: FrameType | None) -> None:
    raise TimeoutError


def measure(peer: Peer, source: Path, target: Path, facts: dict[str, object]) -> None:
    """Read, prepare, merge, write; `facts` is filled on the way, so that a timeout leaves what is known."""
    facts["imports_rss_mb"] = rss_mb("VmRSS")
    found = read_detections(source)
    facts["detections"] = len(found.tile)
    began = time.perf_counter()
    cells = peer.prepare(found)
    facts["prepare_seconds"] = round(time.perf_counter() - began, 3)
    facts["dropped_before_merge"] = len(found.tile) - len(cells)
    del found
    facts["baseline_rss_mb"] = rss_mb("VmRSS")
    began, cpu = time.perf_counter(), time.process_time()
    try:
        kept = peer.merge(cells)
    finally:
        facts["seconds"] = round(time.perf_counter() - began, 3)
        facts["cpu_seconds"] = round(time.process_time() - cpu, 3)
        facts["peak_rss_mb"] = rss_mb("VmHWM")
    facts["kept"] = len(kept)
    facts["several_parts"] = write_cells(target, kept)


def main() -> int:
    parser = argparse.ArgumentParser(description="Join duplicated nuclei as sopa or LazySlide does.")
    parser.add_argument("--peer", required=True, choices=sorted(PEERS))
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds after the imports (600)")
    parser.add_argument("source", type=Path, metavar="IN.npz")
    parser.add_argument("target", type=Path, metavar="OUT.npz")
    args = parser.parse_args()
    peer = PEERS[args.peer]()
    facts: dict[str, object] = {"peer": args.peer, "version": version(peer.package), "timed_out": False}
    signal.signal(signal.SIGALRM, raise_timeout)
    signal.setitimer(signal.ITIMER_REAL, args.timeout)
    try:
        measure(peer, args.source, args.target, facts)
    except TimeoutError:
        facts["timed_out"] = True
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(json.dumps(facts))
    return TIMED_OUT if facts["timed_out"] else 0


if __name__ == "__main__":
    sys.exit(main())
