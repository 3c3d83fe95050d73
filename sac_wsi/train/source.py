"""Open the images that the settings name, by part: train, val and test."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sac_wsi.datasets.dsb import stained_only
from sac_wsi.datasets.images import Images, KeptImages, Labels, Rgb, SetImages, SyntheticImages
from sac_wsi.datasets.layouts import open_layout
from sac_wsi.datasets.pack import Pack
from sac_wsi.datasets.sample import DataSet, Sample
from sac_wsi.datasets.split import split_by_names, with_validation
from sac_wsi.errors import ConfigError, DataError
from sac_wsi.train.config import DataSettings

_SYNTHETIC_SEEDS = {"train": 0, "val": 1 << 16, "test": 1 << 17}
_FEWEST_NUCLEI = 3
_MOST_ZOOM = 4.0


@dataclass(frozen=True)
class Source:
    """The images of all parts.

    Attributes:
        settings: The settings of the data.
        mpp: Resolution of the model, in micrometres per pixel.
        tile_px: Side of the model's tiles.
        data: The data set; None: synthetic images.
        names: Names of the data sets.
        licences: Their licences, each once.
    """

    settings: DataSettings
    mpp: float
    tile_px: int
    data: DataSet | None
    names: tuple[str, ...]
    licences: tuple[str, ...]

    @property
    def identity(self) -> str:
        """A hash of the names and parts of all images, whatever their paths."""
        lines = [f"{sample.name} {sample.split}" for sample in self.data.samples] if self.data else []
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()

    def part(self, split: str) -> Images:
        """Return the images of "train", "val", "test" or "all"."""
        settings = self.settings
        if self.data is None:
            count = settings.count if split == "train" else max(1, settings.count // 4)
            return KeptImages(
                SyntheticImages(count, settings.side_px, self.mpp, _SYNTHETIC_SEEDS.get(split, 0))
            )
        if split == "all":
            return self.images_of(self.data)
        if split == "test":
            return self.images_of(self.data.where(lambda sample: sample.is_test))
        return self.images_of(self.data.part(split))

    def images_of(self, data: DataSet) -> Images:
        """Return these images of the data set, scaled for the model."""
        return KeptImages(SetImages(data, self._zoom))

    def _zoom(self, sample: Sample, rgb: Rgb, labels: Labels) -> float:
        """Return the pixels of the model per pixel of the image."""
        if self.settings.scale == "as_is":
            return 1.0
        if self.settings.scale == "fit":
            return self.tile_px / int(max(rgb.shape[:2]))
        if sample.mpp is not None:
            return float(sample.mpp / self.mpp)
        if not self.settings.nucleus_um:
            raise ConfigError(
                f"The resolution of {sample.name} is unknown. Pass --set data.mpp=…, "
                "--set data.nucleus_um=7 to scale it by the size of its nuclei, or --set data.scale=as_is."
            )
        return zoom_to_nuclei(labels, self.settings.nucleus_um / self.mpp)


def open_source(settings: DataSettings, mpp: float, tile_px: int) -> Source:
    """Open the data set of the settings for a model of this resolution and tile side.

    Raises:
        DataError: The settings name no data, or a data set that is not there.
    """
    if settings.kind == "synthetic":
        return Source(settings, mpp, tile_px, None, ("synthetic",), ("CC0-1.0",))
    if not settings.images:
        needed = "the archive" if settings.kind == "pack" else "the path of the images"
        raise DataError(
            f"data.kind is {settings.kind}: needed data.images, {needed}. Pass --set data.images=PATH."
        )
    path = Path(settings.images)
    if settings.kind == "pack":
        names, licences, data = _of_pack(path, settings.only)
    else:
        data = open_layout(
            settings.kind,
            path,
            Path(settings.labels) if settings.labels else None,
            mpp=settings.mpp,
            group_pattern=settings.group_pattern,
            allow_missing=settings.skip_bad,
        )
        names, licences = (data.name,), (data.licence,)
    if settings.stained_only:
        data = stained_only(data)
    return Source(settings, mpp, tile_px, _validated(data, settings), names, licences)


def _of_pack(path: Path, only: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...], DataSet]:
    pack = Pack.open(path)
    there = {origin.name: origin for origin in pack.manifest.origins}
    if unknown := sorted(set(only) - set(there)):
        raise DataError(f"data.only names {unknown[0]!r}; {path} holds {', '.join(there)}.")
    chosen = only or tuple(there)
    data = pack.as_dataset().where(lambda sample: sample.name.split("/")[0] in chosen)
    return chosen, tuple(dict.fromkeys(there[name].licence for name in chosen)), data


def _validated(data: DataSet, settings: DataSettings) -> DataSet:
    """Return the data set with a validation part."""
    if settings.val_groups or settings.without:
        data = split_by_names(data.grouped_by(settings.group_by), settings.val_groups, settings.without)
    if settings.val_share == 0:
        return replace(data, samples=tuple(replace(s, split=s.split or "train") for s in data.samples))
    return with_validation(data.grouped_by(settings.group_by), settings.val_share, settings.seed)


def zoom_to_nuclei(labels: Labels, wanted_px: float) -> float:
    """Return the zoom that gives the median nucleus this diameter; 1 if there are too few nuclei."""
    area_px = np.bincount(labels.ravel())[1:]
    area_px = area_px[area_px > 0]
    if len(area_px) < _FEWEST_NUCLEI:
        return 1.0
    diameter_px = float(np.sqrt(4 * np.median(area_px) / np.pi))
    return float(np.clip(wanted_px / diameter_px, 1 / _MOST_ZOOM, _MOST_ZOOM))
