"""The training config of a run. What the paper says is in ``Run``; what it leaves open is chosen here.

Rate, batch and epochs are those of configs/train/sac_*.yaml for all rows with an encoder; the U-Net, which
learns from nothing, has smaller crops and more of them. No run ends before the
paper's 30 epochs; after them, where ten validations have brought nothing better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sac_wsi.errors import ConfigError
from sac_wsi.model.checkpoint.inference import InferenceSettings
from sac_wsi.model.predict.choose import merged
from sac_wsi.settings.read import read_settings
from sac_wsi.settings.typed import build
from sac_wsi.train.config import DataSettings, ObjectiveSettings, ScheduleSettings, TrainConfig

if TYPE_CHECKING:
    from pathlib import Path

    from sac_wsi.reproduce.inputs import Inputs, Place
    from sac_wsi.reproduce.runs import Dataset, Run
    from sac_wsi.reproduce.scale import Scale

MPP: dict[Dataset, float] = {"monuseg": 0.25, "dsb": 0.25, "glas": 0.62}
"""Told to the model's card. Images are brought to the size of a tile, as SAM does it, whatever theirs is."""

LEAST_EPOCHS = 30
EPOCHS: dict[Dataset, int] = {"monuseg": 100, "dsb": 30, "glas": 100}
"""At most. DSB 2018 has twenty times as many images as MoNuSeg."""
_SMALL_EPOCHS = 2

_FREE = ("augment", "data", "inference", "objective", "schedule", "licence", "non_commercial")
_OF_THE_ROW = {
    "data": ("kind", "images", "labels", "only", "scale", "count", "side_px"),
    "inference": ("way", "points"),
    "objective": ("part", "mask_loss", "auto", "experts", "nuclei"),
}
"""What --set may not change, in sections that it may: another value would be another row."""


def read_changes(overrides: Sequence[str]) -> dict[str, Any]:
    """Of ``--set``: nested settings, none of which decides what a row is."""
    changes = read_settings(None, overrides)
    for section, values in changes.items():
        held = _OF_THE_ROW.get(section, ())
        inside = [f"{section}.{key}" for key in values if key in held] if isinstance(values, Mapping) else []
        if section not in _FREE or inside:
            name = inside[0] if inside else section
            raise ConfigError(
                f"--set {name}: the row decides that. What can be set: {', '.join(_FREE)}; of them not "
                f"{', '.join(f'{part}.{key}' for part, keys in _OF_THE_ROW.items() for key in keys)}."
            )
    return changes


def train_config(
    run: Run, scale: Scale, inputs: Inputs, out: Path, changes: Mapping[str, Any]
) -> TrainConfig:
    """Of a run that learns. ``out`` is the folder of all runs at this scale."""
    mpp = model_mpp(run.dataset, scale)
    size = scale.size(run)
    base = inputs.sam.get(run.encoder, "") if scale.from_sam else ""
    config = TrainConfig(
        name=run.name,
        output_dir=str(out / run.name),
        size=size,
        base=str(base),
        mpp=mpp,
        mpp_range=(mpp / 2, mpp * 2),
        halo_um=halo_um(size.tile_px, mpp),
        data=_default_data(run.dataset, scale, inputs),
        objective=_objective(run),
        schedule=_schedule(run, scale),
        inference=inference(run),
    )
    return build(TrainConfig, merged(asdict(config), changes))


def data_settings(dataset: Dataset, scale: Scale, inputs: Inputs, changes: Mapping[str, Any]) -> DataSettings:
    """Where the images of a set come from, for all of its runs."""
    told = merged({"data": asdict(_default_data(dataset, scale, inputs))}, changes)["data"]
    return build(DataSettings, told, "data.")


def model_mpp(dataset: Dataset, scale: Scale) -> float:
    return scale.mpp or MPP[dataset]


def halo_um(tile_px: int, mpp: float) -> float:
    """Of images that are larger than a tile: a sixteenth of it, but more than a seam needs."""
    return mpp * max(8, tile_px // 16)


def inference(run: Run) -> InferenceSettings:
    """The paper scores a foreground mask: all of it counts, however small its pieces."""
    return InferenceSettings(
        way="prompter" if run.family == "unet" else "semantic",
        points=run.point_settings(),
        min_area_um2=0.0,
    )


def _default_data(dataset: Dataset, scale: Scale, inputs: Inputs) -> DataSettings:
    place = inputs.data.get(dataset)
    if place is None and not scale.from_sam:
        return DataSettings(count=8, side_px=scale.tile_px)
    return in_place(DataSettings(kind=dataset, scale="fit"), place)


def in_place(settings: DataSettings, place: Place | None) -> DataSettings:
    """The same settings for images that lie somewhere else."""
    if place is None:
        return settings
    told = asdict(settings) | {"images": str(place.images), "labels": str(place.labels or "")}
    return build(DataSettings, told, "data.")


def _objective(run: Run) -> ObjectiveSettings:
    if run.family == "unet":
        return ObjectiveSettings(part="prompter", nuclei=0)
    return ObjectiveSettings(
        part="both",
        mask_loss=run.mask_loss or "focal_dice",
        auto=run.points > 0,
        experts=run.experts,
        nuclei=0,
    )


def _schedule(run: Run, scale: Scale) -> ScheduleSettings:
    if scale.steps:
        steps = max(1, scale.steps // _SMALL_EPOCHS)
        return ScheduleSettings(epochs=_SMALL_EPOCHS, epoch_steps=steps, batch=2, warmup_steps=1, ema=0.5)
    epochs = EPOCHS[run.dataset]
    if run.family == "unet":
        return ScheduleSettings(
            epochs=epochs, least_epochs=LEAST_EPOCHS, batch=8, crop_px=256, precision="bf16"
        )
    return ScheduleSettings(
        epochs=epochs,
        least_epochs=LEAST_EPOCHS,
        batch=1,
        accumulate=2,
        learning_rate=1e-4,
        precision="bf16",
        checkpointing=True,
    )
