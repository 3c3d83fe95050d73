"""Check a run: its table, polygons and labels, and an output file against its store."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sac_wsi.errors import StoreError
from sac_wsi.export.formats import Form, export_form
from sac_wsi.export.geojson_read import read_geojson_features
from sac_wsi.export.header import read_header
from sac_wsi.geometry import Box
from sac_wsi.store.columns import open_array
from sac_wsi.store.digests import damaged_arrays
from sac_wsi.store.outputs import STORE
from sac_wsi.store.run import Run
from sac_wsi.verify import (
    Findings,
    Problem,
    check_features,
    check_labels,
    check_overlaps,
    check_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LABELS_AT_ONCE_PX = 2048
_DAMAGE = (StoreError, OSError, ValueError, RuntimeError, SyntaxError, EOFError, zlib.error)
"""Errors of zarr, Zstandard, tifffile and Pillow on damaged bytes."""


@dataclass(frozen=True)
class VerifyReport:
    """What was checked, and the problems: all counted by kind, the first of each kind listed."""

    run: str
    nuclei: int
    checked: tuple[str, ...]
    counts: dict[str, int]
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether no problem was found."""
        return not self.counts

    @property
    def verdict(self) -> str:
        """The result in one line."""
        checked = f"{self.run}: {self.nuclei:,} nuclei, checked {', '.join(self.checked)}"
        wrong = ", ".join(f"{count:,} {kind}" for kind, count in self.counts.items())
        return f"{checked}: {'no problems found' if self.ok else wrong}"

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {**asdict(self), "ok": self.ok}


def verify_run(path: Path) -> VerifyReport:
    """Check a store, or an output together with the store it was written from."""
    run = Run.open(path)
    table, slide = run.nuclei, Box.of_shape(tuple(run.provenance["slide"]["shape_yx"]))
    findings = Findings()
    checks: dict[str, Callable[[], Findings]] = {
        "digests": lambda: _check_digests(run),
        "counts": lambda: _check_counts(run),
        "geometry": lambda: check_rows(table.batches(), slide),
        "overlaps": lambda: check_overlaps(table.batches(), slide),
        "labels": lambda: _check_label_image(run),
    }
    if path.suffix != STORE:
        checks[path.name] = lambda: _check_output(path, run)
    for name, check in checks.items():
        try:
            findings.extend(check())
        except _DAMAGE as error:
            findings.add("damage", name, f"cannot be read ({type(error).__name__})")
    return VerifyReport(str(path), len(table), tuple(checks), dict(findings.counts), tuple(findings.problems))


def _check_digests(run: Run) -> Findings:
    """Compare every array with what was written."""
    findings = Findings()
    for name in damaged_arrays(run.store):
        findings.add("changed", name, "is not what was written")
    return findings


def _check_counts(run: Run) -> Findings:
    """Compare the number of nuclei and of tiles with the provenance."""
    findings = Findings()
    counts = run.provenance["counts"]
    if counts["nuclei"] != len(run.nuclei):
        findings.add("count", "nuclei", f"the table has {len(run.nuclei)}, the provenance {counts['nuclei']}")
    outcomes = np.bincount(open_array(run.store, "tile_status")[:].ravel(), minlength=3)
    recorded = counts["tiles"]
    if outcomes.tolist() != [recorded["skipped"], recorded["done"], recorded["failed"]]:
        findings.add(
            "count", "tiles", f"{outcomes.tolist()} skipped, done, failed; the provenance has {recorded}"
        )
    return findings


def _check_label_image(run: Run) -> Findings:
    base, frame = open_array(run.store, "0"), run.label_frame
    return check_labels(
        run.nuclei.batches(),
        lambda box: np.asarray(base[box.y0 : box.y1, box.x0 : box.x1], np.uint32),
        Box.of_shape(frame.shape_yx),
        label_px_per_frame_px=1 / frame.frame_per_label,
    )


def _check_output(path: Path, run: Run) -> Findings:
    header = read_header(path) or {}
    findings = Findings()
    if header.get("run_id") != run.provenance["run_id"]:
        findings.add("provenance", path.name, f"was written by another run than {run.store.name}")
    if export_form(path) in (Form.TIFF, Form.PNG):
        findings.extend(_check_label_file(path, run))
    else:
        findings.extend(check_features(read_geojson_features(path), run.nuclei.batches()))
    return findings


def _check_label_file(path: Path, run: Run) -> Findings:
    """Compare an exported label image with the store, pixel by pixel."""
    findings = Findings()
    written, base = _read_label_file(path), open_array(run.store, "0")
    if written.shape != base.shape:
        findings.add("label-file", path.name, f"is {written.shape}, the store's labels are {base.shape}")
        return findings
    for y in range(0, base.shape[0], LABELS_AT_ONCE_PX):
        rows = slice(y, y + LABELS_AT_ONCE_PX)
        differ = int((np.asarray(base[rows]) != written[rows]).sum())
        if differ:
            findings.add("label-file", f"rows from {y}", f"{differ} pixels differ from the store")
    return findings


def _read_label_file(path: Path) -> Any:
    if export_form(path) is Form.TIFF:
        import tifffile

        return tifffile.imread(path)
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)
