"""Time, memory and file size of GeoJSON exports, compared with the usual libraries.

    python benchmarks/export.py [--rows 1000000] [--peer-rows 100000]

Prints a Markdown table. Each row is measured in a new process, so that the peak memory is only its own. The
nuclei are made during the export; the first line of the table is the time for making them alone.
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
class Method:
    """A method to export nuclei: ``run(count, folder)`` writes them and returns the file, if any."""

    title: str
    run: Callable[[int, Path], Path | None]
    peer: bool = False
    needs: str | None = None


def rows_only(count: int, folder: Path) -> None:
    """Make the nuclei, write nothing."""
    for _ in lattice_batches(count):
        pass


def ours(name: str) -> Callable[[int, Path], Path]:
    """Return the export of this package to a file of that name."""

    def run(count: int, folder: Path) -> Path:
        write_geojson(folder / name, lattice_batches(count), {"store": "benchmark.zarr"})
        return folder / name

    return run


def features(count: int) -> Iterator[dict[str, Any]]:
    """Yield the same nuclei as GeoJSON features made of Python objects."""
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
                    "measurements": {**measurements, "Detection probability": float(rows.score[i])},
                },
            }


def with_json(count: int, folder: Path) -> Path:
    """Write with the `json` module."""
    path = folder / "json.geojson"
    with path.open("w") as file:
        json.dump({"type": "FeatureCollection", "features": list(features(count))}, file)
    return path


def with_geojson(count: int, folder: Path) -> Path:
    """Write with the `geojson` package."""
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
    """Write with geopandas, in flat columns: GDAL has no nested properties, so QuPath reads no detections."""
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


METHODS = {
    "rows": Method("rows made, nothing written", rows_only),
    "gz": Method("`write_geojson`, .geojson.gz", ours("ours.geojson.gz")),
    "zip": Method("`write_geojson`, .zip of 50 k parts", ours("ours.zip")),
    "plain": Method("`write_geojson`, .geojson", ours("ours.geojson")),
    "json": Method("`json.dump` of dicts, .geojson", with_json, peer=True),
    "geojson": Method("`geojson` module, .geojson", with_geojson, peer=True, needs="geojson"),
    "geopandas": Method("geopandas + pyogrio, .geojson (flat)", with_geopandas, peer=True, needs="geopandas"),
}


def measure(method: Method, count: int) -> dict[str, Any]:
    """Measure in this process, after a small first run that imports and compiles."""
    with tempfile.TemporaryDirectory() as folder:
        method.run(10, Path(folder))

        def work() -> dict[str, Any]:
            path = method.run(count, Path(folder))
            return {"bytes": path.stat().st_size if path else 0}

        return measured(work)


def measured_in_child(key: str, count: int) -> dict[str, Any]:
    """Measure a method in a new process."""
    return in_child(__file__, "--only", key, "--rows", str(count), "--peer-rows", str(count))


def table_line(method: Method, count: int, found: dict[str, Any]) -> str:
    """Return the line of the table."""
    seconds, peak_mb, file_mb = found["wall_s"], found["peak_mb"], found["bytes"] / 1e6
    times = 1e6 / count
    return (
        f"| {method.title} | {count:,} | {seconds:.1f} | {seconds * times:.1f} "
        f"| {peak_mb:,.0f} | {file_mb:,.0f} | {file_mb * times:,.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peer-rows", type=int, default=100_000)
    parser.add_argument("--only", choices=METHODS, help="measure one method in this process, print JSON")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(METHODS[options.only], options.rows)))
        return
    print(origin())
    print("Polygons of 40 vertices, 11 measurements and a score; columns per million are scaled.\n")
    print("| method | nuclei | s | s per million | peak MB | file MB | file MB per million |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for key, method in METHODS.items():
        if method.needs and find_spec(method.needs) is None:
            print(f"| {method.title} | not installed | | | | | |")
            continue
        count = options.peer_rows if method.peer else options.rows
        print(table_line(method, count, measured_in_child(key, count)), flush=True)


if __name__ == "__main__":
    main()
