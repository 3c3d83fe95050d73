"""How fast, in how much memory and into how many bytes nuclei become GeoJSON; beside the usual ways.

    python benchmarks/export.py [--rows 1000000] [--peer-rows 100000]

Prints a Markdown table. Each row is a process of its own, so that its peak memory is its own. The rows are
made as they are needed; the first line of the table is the time that this alone takes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import UUID

from machine import in_child, measured, origin

from sac_wsi.export.geojson import write_geojson
from sac_wsi.nuclei.table import MEASUREMENTS
from sac_wsi.testing.rows import lattice_batches

CLASSIFICATION = {"name": "Nucleus", "color": [200, 0, 0]}


@dataclass(frozen=True)
class Way:
    """One way to write ``count`` nuclei into a folder; gives the file, if there is one."""

    title: str
    run: Callable[[int, Path], Path | None]
    peer: bool = False
    needs: str | None = None


def rows_only(count: int, folder: Path) -> None:
    for _ in lattice_batches(count):
        pass


def ours(name: str) -> Callable[[int, Path], Path]:
    def run(count: int, folder: Path) -> Path:
        write_geojson(folder / name, lattice_batches(count), {"store": "benchmark.zarr"})
        return folder / name

    return run


def features(count: int) -> Iterator[dict[str, Any]]:
    """The same nuclei as Python objects, as one would build them by hand."""
    for rows in lattice_batches(count):
        for i in range(len(rows)):
            ring = rows.polygon_px(i).tolist()
            measurements = dict(zip(MEASUREMENTS, rows.measurements[i].round(4).tolist(), strict=True))
            yield {
                "type": "Feature",
                "id": str(UUID(bytes=rows.uuid[i].tobytes())),
                "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
                "properties": {
                    "objectType": "detection",
                    "classification": CLASSIFICATION,
                    "measurements": {**measurements, "Score": float(rows.score[i])},
                },
            }


def with_json(count: int, folder: Path) -> Path:
    path = folder / "json.geojson"
    with path.open("w") as file:
        json.dump({"type": "FeatureCollection", "features": list(features(count))}, file)
    return path


def with_geojson(count: int, folder: Path) -> Path:
    import geojson

    path = folder / "module.geojson"
    made = [
        geojson.Feature(f["id"], geojson.Polygon(f["geometry"]["coordinates"]), f["properties"])
        for f in features(count)
    ]
    with path.open("w") as file:
        geojson.dump(geojson.FeatureCollection(made), file)
    return path


def with_geopandas(count: int, folder: Path) -> Path:
    """Flat columns: GDAL has no nested properties, so QuPath would not read this as detections."""
    import geopandas
    import pandas
    import shapely

    polygons, tables = [], []
    for rows in lattice_batches(count):
        polygons += [shapely.Polygon(rows.polygon_px(i)) for i in range(len(rows))]
        tables.append(pandas.DataFrame(rows.measurements, columns=list(MEASUREMENTS)))
    path = folder / "geopandas.geojson"
    table = geopandas.GeoDataFrame(pandas.concat(tables, ignore_index=True), geometry=polygons)
    table.to_file(path, driver="GeoJSON", engine="pyogrio", COORDINATE_PRECISION=2)
    return path


WAYS = {
    "rows": Way("rows made, nothing written", rows_only),
    "gz": Way("`write_geojson`, .geojson.gz", ours("ours.geojson.gz")),
    "zip": Way("`write_geojson`, .zip of 50 k parts", ours("ours.zip")),
    "plain": Way("`write_geojson`, .geojson", ours("ours.geojson")),
    "json": Way("`json.dump` of dicts, .geojson", with_json, peer=True),
    "geojson": Way("`geojson` module, .geojson", with_geojson, peer=True, needs="geojson"),
    "geopandas": Way("geopandas + pyogrio, .geojson (flat)", with_geopandas, peer=True, needs="geopandas"),
}


def measure(way: Way, count: int) -> dict[str, Any]:
    """In this process, after a first small run (imports, compilation)."""
    with tempfile.TemporaryDirectory() as folder:
        way.run(10, Path(folder))

        def work() -> dict[str, Any]:
            path = way.run(count, Path(folder))
            return {"bytes": path.stat().st_size if path else 0}

        return measured(work)


def measured_in_child(key: str, count: int) -> dict[str, Any]:
    return in_child(__file__, "--only", key, "--rows", str(count), "--peer-rows", str(count))


def table_line(way: Way, count: int, found: dict[str, Any]) -> str:
    seconds, peak_mb, file_mb = found["wall_s"], found["peak_mb"], found["bytes"] / 1e6
    times = 1e6 / count
    return (
        f"| {way.title} | {count:,} | {seconds:.1f} | {seconds * times:.1f} "
        f"| {peak_mb:,.0f} | {file_mb:,.0f} | {file_mb * times:,.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peer-rows", type=int, default=100_000)
    parser.add_argument("--only", choices=WAYS, help="measure one way in this process, print JSON")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(WAYS[options.only], options.rows)))
        return
    print(origin())
    print("Polygons of 40 vertices, 11 measurements and a score; columns per million are scaled.\n")
    print("| way | nuclei | s | s per million | peak MB | file MB | file MB per million |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for key, way in WAYS.items():
        if way.needs and find_spec(way.needs) is None:
            print(f"| {way.title} | not installed | | | | | |")
            continue
        count = options.peer_rows if way.peer else options.rows
        print(table_line(way, count, measured_in_child(key, count)), flush=True)


if __name__ == "__main__":
    main()
