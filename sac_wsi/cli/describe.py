"""Text for the terminal: one function for each kind of result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sac_wsi.datasets import check
    from sac_wsi.evaluate.metrics import Interval, Scores
    from sac_wsi.slide.protocol import SlideInfo
    from sac_wsi.store.run import Summary

_FINDINGS_SHOWN = 30
_NAMES_SHOWN = 5
_FAILURES_SHOWN = 3


def summary_text(summary: Summary) -> str:
    """Return the summary of a segmented slide."""
    tiles = ", ".join(f"{count:,} {outcome}" for outcome, count in summary.tiles.items())
    density = f", {summary.nuclei / summary.tissue_mm2:,.0f} per mm²" if summary.tissue_mm2 else ""
    stages = " · ".join(
        f"{stage} {seconds:.1f}{' (bottleneck)' if stage == summary.bottleneck else ''}"
        for stage, seconds in summary.seconds.items()
    )
    lines = [
        f"{summary.nuclei:,} nuclei in {summary.tissue_mm2:.2f} mm² of tissue{density}",
        f"tiles     {tiles} (skipped: no tissue)",
        f"store     {summary.store}{' (was complete)' if summary.reused else ''}",
        *(f"output    {path}" for path in summary.outputs),
        f"seconds   {summary.wall_seconds:.1f} with {summary.workers} worker(s): {stages}",
    ]
    if large := summary.dropped.get("larger_than_halo"):
        lines.append(
            f"dropped   {large:,} objects larger than the halo; if they are nuclei, raise grid.halo_um"
        )
    return "\n".join(lines)


def failures_text(summary: Summary, allowed: int) -> str:
    """Return the message for a run with more failed tiles than ``allowed``."""
    count = len(summary.failures)
    first = "; ".join(f"tile {tile}: {reason}" for tile, reason in summary.failures[:_FAILURES_SHOWN])
    more = f" and {count - _FAILURES_SHOWN} more" if count > _FAILURES_SHOWN else ""
    return (
        f"sac-wsi: {count} tiles failed, {allowed} allowed ({first}{more}). Everything else "
        "is in the outputs; --max-failed-tiles sets how many are accepted."
    )


def slide_text(info: SlideInfo) -> str:
    """Return what is known about a slide, a line per property."""
    height, width = info.shape_yx
    resolution = "unknown: pass --mpp 0.25 (40x is usually 0.25, 20x 0.5)"
    size = f"{width:,} x {height:,} px"
    if info.mpp is not None:
        resolution = f"{info.mpp:.4g} µm/px (from {info.mpp_source})"
        size += f", {width * info.mpp / 1e3:.2f} x {height * info.mpp / 1e3:.2f} mm"
    levels = ", ".join(f"{level.shape_yx[1]} x {level.shape_yx[0]}" for level in info.levels)
    lines = [
        f"file         {info.path}",
        f"read by      {info.reader} ({info.vendor})",
        f"size         {size}",
        f"resolution   {resolution}",
        f"objective    {f'{info.objective:g}x' if info.objective else 'unknown'}",
        f"levels       {levels}",
        f"origin       {info.origin_yx[1]}, {info.origin_yx[0]} (x, y of the corner that QuPath shows)",
        f"fingerprint  {info.fingerprint}",
        *(f"warning      {warning}" for warning in info.warnings),
    ]
    return "\n".join(lines)


def names_text(what: str, names: Sequence[str]) -> str:
    """Return how many names there are, what is wrong with them, and the first few."""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"{len(names)} {what}: {', '.join(ascii(name)[1:-1] for name in names[:_NAMES_SHOWN])}{more}"


def scores_lines(scores: Scores) -> Iterator[str]:
    """Yield the table of scores: a row per measure, with its mean over images and its interval."""
    true_nuclei = sum(image.truth_nuclei for image in scores.images)
    pred_nuclei = sum(image.pred_nuclei for image in scores.images)
    yield f"{len(scores.images):,} images, {true_nuclei:,} true nuclei, {pred_nuclei:,} predicted"
    yield f"{'':20}{'mean':>8}   95 % interval"
    for name, value in scores.mean.items():
        yield _score_row(name, value, scores.intervals[name])
    yield _score_row("f1_pooled", scores.f1_pooled, scores.intervals["f1_pooled"])
    if scores.objects is not None:
        for name, value_or_none in scores.objects.mean.items():
            yield _score_row(f"object_{name}", value_or_none, scores.objects.intervals[name])


def _score_row(name: str, value: float | None, interval: Interval | None) -> str:
    number = "8.2f" if name.endswith("hausdorff_px") else "8.4f"
    shown = f"{'-':>8}" if value is None else f"{value:{number}}"
    if interval is not None:
        shown += f"   {interval.low:{number[1:]}} to {interval.high:{number[1:]}}"
    return f"{name:20}{shown}"


def dataset_lines(report: check.Report) -> Iterator[str]:
    """Yield every serious finding, the first of the other findings, and the statistics of a data set."""
    serious = [finding for finding in report.findings if finding.serious]
    others = [finding for finding in report.findings if not finding.serious]
    for finding in serious + others[:_FINDINGS_SHOWN]:
        mark = "!" if finding.serious else "-"
        yield f"{mark} {finding.kind}: {finding.where}: {finding.detail}"
    if len(others) > _FINDINGS_SHOWN:
        yield f"- and {len(others) - _FINDINGS_SHOWN} more; --json lists all"
    yield from _dataset_statistics(report.summary)
    yield f"licence    {report.licence}"
    yield report.verdict


def _dataset_statistics(summary: check.Summary) -> Iterator[str]:
    yield f"images     {summary.images:,} in {summary.groups:,} groups; {_counts(summary.sizes)} px"
    if summary.splits:
        yield f"splits     {_counts(summary.splits)}"
    yield f"made by    {_counts(summary.modalities)}"
    yield f"objects    {summary.objects:,}"
    for unit, spread in (("px", summary.area_px), ("µm²", summary.area_um2)):
        if spread is not None:
            yield (
                f"area       median {spread['median']:,.1f} {unit}, "
                f"9 of 10 from {spread['p05']:,.1f} to {spread['p95']:,.1f}"
            )
    for stain, od in (summary.stain_od or {}).items():
        yield f"stain      {stain}: mean density {od['mean']:.3f}, of images ± {od['sd']:.3f}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counts.items()) or "none"


def model_file_line(entry: Mapping[str, object], state: str) -> str:
    """Return the line of a file of weights in ``models list``: name, size, licence, ``state``."""
    forbids = ", non-commercial" if entry.get("non_commercial") else ""
    name, size, licence = entry["name"], entry["size"], entry["licence"]
    return f"{name:20} {size:>15,} bytes  {licence:12} {state}{forbids}"


def download_state(entry: Mapping[str, object]) -> str:
    """Return whether a file that can be downloaded is present, and what to type if it is not."""
    if entry["present"]:
        return "present"
    if entry["found_size"] is None:
        return f"not here: sac-wsi models fetch {entry['name']}"
    return (
        f"not the file, has {entry['found_size']:,} bytes: sac-wsi models fetch {entry['name']} --overwrite"
    )


def nested_lines(entries: Mapping[str, object], indent: str = "") -> Iterator[str]:
    """Yield ``key: value`` lines; a mapping inside is indented."""
    for key, value in entries.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}:"
            yield from nested_lines(value, indent + "  ")
        else:
            yield f"{indent}{key}: {_value_text(value)}"


def _value_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_value_text, value)) or "none"
    return "unknown" if value is None else str(value)
