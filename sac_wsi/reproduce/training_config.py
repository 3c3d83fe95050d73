"""The training config of a run. ``Experiment`` holds what the paper says; what it leaves open is chosen here.

Learning rate, batch and epochs are those of configs/train/sac_*.yaml for all rows with an encoder. The U-Net
starts from random weights and uses smaller crops and larger batches. No run ends before the paper's 30
epochs; after them a run ends when ten validations have not improved.
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

    from sac_wsi.reproduce.experiment import Dataset, Experiment
    from sac_wsi.reproduce.inputs import Inputs, Place
    from sac_wsi.reproduce.scale import Scale

MPP: dict[Dataset, float] = {"monuseg": 0.25, "dsb": 0.25, "glas": 0.62}
"""Micrometres per pixel, written to the model's card. Images are resized to a tile, as in SAM."""

LEAST_EPOCHS = 30
EPOCHS: dict[Dataset, int] = {"monuseg": 100, "dsb": 30, "glas": 100}
"""Largest number of epochs. DSB 2018 has twenty times as many images as MoNuSeg."""
_SMALL_EPOCHS = 2

_FREE = ("augment", "data", "inference", "objective", "schedule", "licence", "non_commercial")
_OF_THE_ROW = {
    "data": ("kind", "images", "labels", "only", "scale", "count", "side_px"),
    "inference": ("mode", "points"),
    "objective": ("part", "mask_loss", "auto", "experts", "nuclei"),
}
"""Settings that --set cannot change in the sections that it can: they define the row."""


def read_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Parse ``--set`` into nested settings. Settings that define a row are an error."""
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
    run: Experiment, scale: Scale, inputs: Inputs, out: Path, changes: Mapping[str, Any]
) -> TrainConfig:
    """Return the config of a run that is trained; ``out`` is the folder of all runs at this scale."""
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
    """Return the data settings of a dataset, the same for all of its runs."""
    values = merged({"data": asdict(_default_data(dataset, scale, inputs))}, changes)["data"]
    return build(DataSettings, values, "data.")


def model_mpp(dataset: Dataset, scale: Scale) -> float:
    """Return the model's micrometres per pixel."""
    return scale.mpp or MPP[dataset]


def halo_um(tile_px: int, mpp: float) -> float:
    """Return the halo for images larger than a tile: a sixteenth of a tile, at least 8 pixels."""
    return mpp * max(8, tile_px // 16)


def inference(run: Experiment) -> InferenceSettings:
    """Return the inference settings. The paper scores the whole foreground, so small pieces are kept."""
    return InferenceSettings(
        mode="prompter" if run.family == "unet" else "semantic",
        points=run.point_settings(),
        min_area_um2=0.0,
    )


def _default_data(dataset: Dataset, scale: Scale, inputs: Inputs) -> DataSettings:
    place = inputs.data.get(dataset)
    if place is None and not scale.from_sam:
        return DataSettings(count=8, side_px=scale.tile_px)
    return with_place(DataSettings(kind=dataset, scale="fit"), place)


def with_place(settings: DataSettings, place: Place | None) -> DataSettings:
    """Return the same settings for images at another place."""
    if place is None:
        return settings
    values = asdict(settings) | {"images": str(place.images), "labels": str(place.labels or "")}
    return build(DataSettings, values, "data.")


def _objective(run: Experiment) -> ObjectiveSettings:
    if run.family == "unet":
        return ObjectiveSettings(part="prompter", nuclei=0)
    return ObjectiveSettings(
        part="both",
        mask_loss=run.mask_loss or "focal_dice",
        auto=run.points > 0,
        experts=run.experts,
        nuclei=0,
    )


def _schedule(run: Experiment, scale: Scale) -> ScheduleSettings:
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
