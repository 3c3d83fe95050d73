"""The command `sac-wsi evaluate`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sac_wsi.cli.describe import names_text, scores_lines
from sac_wsi.cli.kernels import announce_compilation
from sac_wsi.cli.options import (
    PATH,
    as_overrides,
    json_option,
    sam_checkpoint_option,
    set_option,
    skip_bad_option,
)
from sac_wsi.cli.progress import image_progress, report_left_out

if TYPE_CHECKING:
    from sac_wsi.evaluate.metrics import Scores
    from sac_wsi.tiling.segmenter import Segmenter


@click.command("evaluate")
@click.option("--pred", type=PATH, help="Folder of predicted label images.")
@click.option("--truth", type=PATH, help="Folder of true label images.")
@click.option("--model", help="Instead of --pred: sac-tiny, classical, or a checkpoint.")
@click.option("--data", type=PATH, help="With --model: a training config; its section `data` is used.")
@click.option(
    "--part",
    type=click.Choice(("train", "val", "test", "all")),
    default="val",
    show_default=True,
    help="Part of the data to score.",
)
@click.option(
    "--experts",
    type=click.IntRange(0),
    default=0,
    help="Number of points per image taken from the truth, as if a person had placed them.",
)
@sam_checkpoint_option("Meta's SAM weights, for a checkpoint that holds only the trained part.")
@set_option("One setting: data.* or sac.*")
@click.option("--labels-to", type=PATH, help="Folder to write the model's label maps to.")
@skip_bad_option
@click.option("--objects", is_flag=True, help="Also compute the object-level measures of the GlaS challenge.")
@json_option
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
    """Score label images against the truth, or score a model on labelled images.

    A label image (.tif, .png, .npy) holds one whole number per pixel: 0 for background, else the nucleus.
    Files are paired by name without extension. A missing prediction counts as empty.

    \b
    Example:
      sac-wsi evaluate --pred predicted/ --truth labels/
      sac-wsi evaluate --pred predicted/ --truth labels/ --json > scores.json
      sac-wsi evaluate --model runs/unet_monuseg/best.safetensors --data configs/train/unet_monuseg.yaml
    """
    announce_compilation()
    if model is None and data is None and pred is not None and truth is not None:
        from sac_wsi.evaluate.folders import evaluate_folders

        scores = evaluate_folders(pred, truth, objects=objects)
    elif model is not None and data is not None and pred is None and truth is None:
        if skip_bad:
            overrides += ("data.skip_bad=true",)
        chosen = as_overrides(model=model, sam_checkpoint=sam_checkpoint)
        images = _LabelledImages(data, part, [change for change in overrides if change.startswith("data.")])
        settings = [*(change for change in overrides if not change.startswith("data.")), *chosen]
        scores = _score_model(settings, images, experts, labels_to, objects)
    else:
        raise click.UsageError("Give --pred DIR and --truth DIR, or --model NAME and --data CONFIG.")
    for what, names in (
        ("missing, counted as empty", scores.missing),
        ("without a truth, not scored", scores.extra),
    ):
        if names:
            click.echo(names_text(what, names), err=True)
    click.echo(json.dumps(scores.to_json()) if as_json else "\n".join(scores_lines(scores)))


@dataclass(frozen=True)
class _LabelledImages:
    """A part of the data of a training config; ``overrides`` are ``data.KEY=VALUE``."""

    config_file: Path
    part: str
    overrides: Sequence[str]


def _score_model(
    settings: Sequence[str], data: _LabelledImages, experts: int, labels_to: Path | None, objects: bool
) -> Scores:
    from sac_wsi.engine.config import load_config
    from sac_wsi.engine.plan import make_segmenter
    from sac_wsi.evaluate.model import evaluate_model, tile_of
    from sac_wsi.settings.read import read_settings
    from sac_wsi.settings.typed import build
    from sac_wsi.train.config import DataSettings
    from sac_wsi.train.source import open_source

    section = read_settings(data.config_file, data.overrides).get("data")
    if not isinstance(section, dict):
        raise click.UsageError(f"{data.config_file} has no section `data`. Give a config of configs/train.")
    segmenter = make_segmenter(load_config(None, settings))
    _print_terms(segmenter)
    data_settings = build(DataSettings, section, "data.")
    images = open_source(data_settings, segmenter.mpp, tile_of(segmenter)[0]).part(data.part)
    with image_progress("evaluate", len(images)) as on_image:
        return evaluate_model(
            segmenter,
            images,
            experts=experts,
            objects=objects,
            labels_to=labels_to,
            on_image=on_image,
            on_bad=(lambda error: report_left_out(str(error))) if data_settings.skip_bad else None,
        )


def _print_terms(segmenter: Segmenter) -> None:
    from sac_wsi.tiling.segmenter import terms_warning

    for warning in terms_warning(segmenter):
        click.echo(f"warning: {warning}", err=True)
