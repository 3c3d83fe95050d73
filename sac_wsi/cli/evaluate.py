"""`sac-wsi evaluate`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sac_wsi.cli.image_progress import image_progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sac_wsi.evaluate.metrics import Interval, Scores

_NAMES_SHOWN = 5
_DISTANCE = "hausdorff_px"


@click.command("evaluate")
@click.option("--pred", type=click.Path(path_type=Path), help="Folder of predicted label images.")
@click.option("--truth", type=click.Path(path_type=Path), help="Folder of true label images.")
@click.option("--model", help="Instead of --pred: sac-tiny, classical, or a checkpoint.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="With --model: a training config, for its data."
)
@click.option(
    "--part",
    type=click.Choice(("train", "val", "test", "all")),
    default="val",
    show_default=True,
    help="Of the data.",
)
@click.option("--experts", type=click.IntRange(0), default=0, help="Points from the truth, as of a person.")
@click.option("--sam-checkpoint", help="SAM's own file, for a checkpoint that needs it.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting: data.* or sac.*")
@click.option("--labels-to", type=click.Path(path_type=Path), help="Folder for the model's label maps.")
@click.option("--skip-bad", is_flag=True, help="Go on without images that cannot be read.")
@click.option("--objects", is_flag=True, help="Also the object-level measures of the GlaS challenge.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    pred: Path | None,
    truth: Path | None,
    model: str | None,
    data: Path | None,
    part: str,
    experts: int,
    sam_checkpoint: str | None,
    overrides: tuple[str, ...],
    labels_to: Path | None,
    skip_bad: bool,
    objects: bool,
    as_json: bool,
) -> None:
    """Score label images against the truth, or a model on labelled images.

    A label image (.tif, .png, .npy) holds one whole number per pixel: 0 for background, else the nucleus.
    Files match by name without extension. A missing prediction counts as empty.

    \b
    Example:
      sac-wsi evaluate --pred predicted/ --truth labels/
      sac-wsi evaluate --pred predicted/ --truth labels/ --json > scores.json
      sac-wsi evaluate --model runs/unet_monuseg/best.safetensors --data configs/train/unet_monuseg.yaml
    """
    from sac_wsi.cli.kernels import announce_compilation

    announce_compilation()
    if model is None and data is None and pred is not None and truth is not None:
        from sac_wsi.evaluate.folders import evaluate_folders

        scores = evaluate_folders(pred, truth, objects=objects)
    elif model is not None and data is not None and pred is None and truth is None:
        if skip_bad:
            overrides += ("data.skip_bad=true",)
        scores = _of_model(model, data, part, experts, sam_checkpoint, overrides, labels_to, objects)
    else:
        raise click.UsageError("Give --pred DIR and --truth DIR, or --model NAME and --data CONFIG.")
    _warn("missing, counted as empty", scores.missing)
    _warn("without a truth, not scored", scores.extra)
    if as_json:
        click.echo(json.dumps(scores.to_json()))
    else:
        click.echo("\n".join(_table(scores)))


def _of_model(
    model: str,
    data: Path,
    part: str,
    experts: int,
    sam_checkpoint: str | None,
    overrides: Sequence[str],
    labels_to: Path | None,
    objects: bool,
) -> Scores:
    from sac_wsi.engine.config import load_config
    from sac_wsi.engine.plan import make_segmenter
    from sac_wsi.evaluate.model import evaluate_model, tile_of
    from sac_wsi.settings.read import read_settings
    from sac_wsi.settings.typed import build
    from sac_wsi.tiling.segmenter import terms_warning
    from sac_wsi.train.config import DataSettings
    from sac_wsi.train.source import open_source

    of_data = [change for change in overrides if change.startswith("data.")]
    told = read_settings(data, of_data).get("data")
    if not isinstance(told, dict):
        raise click.UsageError(f"{data} has no section `data`: give a config of configs/train.")
    named = {"model": model, "sam_checkpoint": sam_checkpoint}
    chosen = [f"{key}={json.dumps(value)}" for key, value in named.items() if value is not None]
    segmenter = make_segmenter(load_config(None, [*(c for c in overrides if c not in of_data), *chosen]))
    for warning in terms_warning(segmenter):
        click.echo(f"warning: {warning}", err=True)
    settings = build(DataSettings, told, "data.")
    images = open_source(settings, segmenter.mpp, tile_of(segmenter)[0]).part(part)
    with image_progress("evaluate", len(images)) as on_image:
        return evaluate_model(
            segmenter,
            images,
            experts=experts,
            objects=objects,
            labels_to=labels_to,
            on_image=on_image,
            on_bad=(lambda error: click.echo(f"left out: {error}", err=True)) if settings.skip_bad else None,
        )


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
