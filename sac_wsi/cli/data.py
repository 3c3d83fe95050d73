"""`sac-wsi data`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sac_wsi.cli.image_progress import image_progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sac_wsi.datasets.check import Report, Summary

_KINDS = ("monuseg", "tnbc", "dsb", "glas", "folders", "pack")
_MOST_SHOWN = 30


@click.group("data")
def command() -> None:
    """Look at sets of images with labels before training on them.

    \b
    Example:
      sac-wsi data check --kind folders --images images --labels labels --sheet look.png
    """


@command.command("check")
@click.option("--kind", type=click.Choice(_KINDS), required=True, help="The layout.")
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the images; of DSB also the zip, of a pack the archive.",
)
@click.option("--labels", type=click.Path(path_type=Path), help="Folder of annotations or label maps.")
@click.option("--mpp", type=click.FloatRange(0.01, 10), help="Folders: microns per pixel.")
@click.option("--group-pattern", default="", help=r"Folders: what finds a patient in a name, as '^(\d+)_'.")
@click.option("--sheet", type=click.Path(path_type=Path), help="Also draw the images with outlines, a .png.")
@click.option("--overwrite", is_flag=True, help="Replace a sheet that exists.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(
    kind: str,
    images: Path,
    labels: Path | None,
    mpp: float | None,
    group_pattern: str,
    sheet: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Read every image of a set and tell what is wrong with it, and what it is like.

    Exit code 1 where something is serious: images without annotation, files that cannot be read, sizes that
    differ, the same image in two splits.

    \b
    Example:
      sac-wsi data check --kind dsb --images stage1_train.zip
      sac-wsi data check --kind monuseg --images "Tissue Images" --labels Annotations --sheet look.png
    """
    from sac_wsi.datasets.check import check_dataset
    from sac_wsi.datasets.kinds import open_kind
    from sac_wsi.datasets.sheet import refuse_sheet, write_sheet

    if sheet is not None:
        refuse_sheet(sheet, overwrite)
    data = open_kind(kind, images, labels, mpp=mpp, group_pattern=group_pattern, allow_missing=True)
    with image_progress("check", len(data)) as on_image:
        report = check_dataset(data, on_image)
    if sheet is not None:
        write_sheet(sheet, data, overwrite=overwrite)
    if as_json:
        click.echo(json.dumps(report.to_json()))
    else:
        for line in _lines(report):
            click.echo(line)
        if sheet is not None:
            click.echo(str(sheet))
    if not report.ok:
        raise click.exceptions.Exit(1)


def _lines(report: Report) -> Iterator[str]:
    """Serious findings all, of the others the first."""
    serious = [finding for finding in report.findings if finding.serious]
    rest = [finding for finding in report.findings if not finding.serious]
    for finding in serious + rest[:_MOST_SHOWN]:
        mark = "!" if finding.serious else "-"
        yield f"{mark} {finding.kind}: {finding.where}: {finding.detail}"
    if len(rest) > _MOST_SHOWN:
        yield f"- and {len(rest) - _MOST_SHOWN} more; --json tells all"
    yield from _statistics(report.summary)
    yield f"licence    {report.licence}"
    yield report.verdict


def _statistics(summary: Summary) -> Iterator[str]:
    yield f"images     {summary.images:,} in {summary.groups:,} groups; {_counts(summary.sizes)} px"
    if summary.splits:
        yield f"splits     {_counts(summary.splits)}"
    yield f"made by    {_counts(summary.modalities)}"
    yield f"objects    {summary.objects:,}"
    for what, spread in (("px", summary.area_px), ("µm²", summary.area_um2)):
        if spread is not None:
            yield (
                f"area       median {spread['median']:,.1f} {what}, "
                f"9 of 10 from {spread['p05']:,.1f} to {spread['p95']:,.1f}"
            )
    for stain, od in (summary.stain_od or {}).items():
        yield f"stain      {stain}: mean density {od['mean']:.3f}, of images ± {od['sd']:.3f}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counts.items()) or "none"
