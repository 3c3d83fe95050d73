"""`sac-wsi evaluate`"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sac_wsi.metrics import Interval, Scores

_NAMES_SHOWN = 5
_DISTANCE = "hausdorff_px"


@click.command("evaluate")
@click.option(
    "--pred", type=click.Path(path_type=Path), required=True, help="Folder of predicted label images."
)
@click.option("--truth", type=click.Path(path_type=Path), required=True, help="Folder of true label images.")
@click.option("--objects", is_flag=True, help="Also the object-level measures of the GlaS challenge.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(pred: Path, truth: Path, objects: bool, as_json: bool) -> None:
    """Score label images against the truth.

    A label image (.tif, .png, .npy) holds one whole number per pixel: 0 for background, else the nucleus.
    Files match by name without extension. A missing prediction counts as empty.

    \b
    Example:
      sac-wsi evaluate --pred predicted/ --truth labels/
      sac-wsi evaluate --pred predicted/ --truth labels/ --json > scores.json
    """
    from sac_wsi.cli.kernels import announce_compilation
    from sac_wsi.evaluate import evaluate_folders

    announce_compilation()
    scores = evaluate_folders(pred, truth, objects=objects)
    _warn("missing, counted as empty", scores.missing)
    _warn("without a truth, not scored", scores.extra)
    if as_json:
        click.echo(json.dumps(scores.to_json()))
    else:
        click.echo("\n".join(_table(scores)))


def _warn(what: str, names: Sequence[str]) -> None:
    if names:
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        told = ", ".join(ascii(name)[1:-1] for name in names[:_NAMES_SHOWN])
        click.echo(f"{len(names)} {what}: {told}{more}", err=True)


def _table(scores: Scores) -> Iterator[str]:
    true_nuclei = sum(image.truth_nuclei for image in scores.images)
    pred_nuclei = sum(image.pred_nuclei for image in scores.images)
    yield f"{len(scores.images):,} images, {true_nuclei:,} true nuclei, {pred_nuclei:,} predicted"
    yield f"{'':20}{'mean':>8}   95 % interval"
    yield from _rows(scores.mean, scores.intervals)
    yield _row("f1_pooled", scores.f1_pooled, scores.intervals["f1_pooled"])
    if scores.objects is not None:
        yield from _rows(scores.objects.mean, scores.objects.intervals, "object_")


def _rows(
    mean: Mapping[str, float | None] | Mapping[str, float],
    intervals: Mapping[str, Interval | None],
    prefix: str = "",
) -> Iterator[str]:
    for name, value in mean.items():
        yield _row(f"{prefix}{name}", value, intervals[name])


def _row(name: str, value: float | None, interval: Interval | None) -> str:
    form = "8.2f" if name.endswith(_DISTANCE) else "8.4f"
    shown = f"{'-':>8}" if value is None else f"{value:{form}}"
    if interval is not None:
        shown += f"   {interval.low:{form[1:]}} to {interval.high:{form[1:]}}"
    return f"{name:20}{shown}"
