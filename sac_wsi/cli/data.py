"""The commands `sac-wsi data`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from sac_wsi.cli.describe import dataset_lines
from sac_wsi.cli.options import PATH, json_option, overwrite_option
from sac_wsi.cli.progress import image_progress
from sac_wsi.datasets import LAYOUTS

if TYPE_CHECKING:
    from pathlib import Path


@click.group("data")
def command() -> None:
    """Check labelled images before training on them.

    \b
    Example:
      sac-wsi data check --kind folders --images images --labels labels --sheet sheet.png
    """


@command.command("check")
@click.option("--kind", type=click.Choice(LAYOUTS), required=True, help="Layout of the data set.")
@click.option(
    "--images",
    type=PATH,
    required=True,
    help="Folder of the images. For dsb it may be the .zip, for pack it is the archive.",
)
@click.option("--labels", type=PATH, help="Folder of annotations or label maps.")
@click.option("--mpp", type=click.FloatRange(0.01, 10), help="Micrometres per pixel, for kind folders.")
@click.option(
    "--group-pattern",
    default="",
    help=r"Regular expression that finds the patient in a file name, for kind folders: '^(\d+)_'.",
)
@click.option("--sheet", type=PATH, help="Also draw the images with their outlines into this .png file.")
@overwrite_option("Replace an existing sheet.")
@json_option
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
    """Read every image of a data set, list what is wrong, and print its statistics.

    The exit code is 1 if a finding is serious: images without annotation, files that cannot be read, sizes
    that differ, the same image in two splits.

    \b
    Example:
      sac-wsi data check --kind dsb --images stage1_train.zip
      sac-wsi data check --kind monuseg --images "Tissue Images" --labels Annotations --sheet sheet.png
    """
    from sac_wsi.datasets.check import check_dataset
    from sac_wsi.datasets.contact_sheet import refuse_sheet, write_sheet
    from sac_wsi.datasets.layouts import open_layout

    if sheet is not None:
        refuse_sheet(sheet, overwrite)
    data = open_layout(kind, images, labels, mpp=mpp, group_pattern=group_pattern, allow_missing=True)
    with image_progress("check", len(data)) as on_image:
        report = check_dataset(data, on_image)
    if sheet is not None:
        write_sheet(sheet, data, overwrite=overwrite)
    if as_json:
        click.echo(json.dumps(report.to_json()))
    else:
        click.echo("\n".join(dataset_lines(report)))
        if sheet is not None:
            click.echo(str(sheet))
    if not report.ok:
        raise click.exceptions.Exit(1)
