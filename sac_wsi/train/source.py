"""The images that a config names, part by part."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sac_wsi.datasets.dsb import stained_only
from sac_wsi.datasets.images import Images, KeptImages, Labels, Rgb, SetImages, SyntheticImages
from sac_wsi.datasets.kinds import open_kind
from sac_wsi.datasets.pack import Pack
from sac_wsi.datasets.sample import DataSet, Sample
from sac_wsi.datasets.split import with_validation
from sac_wsi.errors import ConfigError, DataError
from sac_wsi.train.config import DataSettings

_SYNTHETIC_SEEDS = {"train": 0, "val": 1 << 16, "test": 1 << 17}
_FEWEST_NUCLEI = 3
_MOST_ZOOM = 4.0


@dataclass(frozen=True)
class Source:
    """Where the images come from, all parts.

    licences  of the sets they belong to, without repetition
    """

    settings: DataSettings
    mpp: float
    tile_px: int
    data: DataSet | None
    names: tuple[str, ...]
    licences: tuple[str, ...]

    @property
    def identity(self) -> str:
        """The same for the same images in the same parts, wherever they lie."""
        lines = [f"{sample.name} {sample.split}" for sample in self.data.samples] if self.data else []
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()

    def part(self, split: str) -> Images:
        """The images of train, val or test; of "all", all of them."""
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
        """Any of the set, as the model should see them."""
        return KeptImages(SetImages(data, self._zoom))

    def _zoom(self, sample: Sample, rgb: Rgb, labels: Labels) -> float:
        """Pixels of the model per pixel of the image."""
        if self.settings.scale == "as_is":
            return 1.0
        if self.settings.scale == "fit":
            return self.tile_px / int(max(rgb.shape[:2]))
        if sample.mpp is not None:
            return float(sample.mpp / self.mpp)
        if not self.settings.nucleus_um:
            raise ConfigError(
                f"Nobody says how many micrometres a pixel of {sample.name} has. Pass --set data.mpp=…, "
                "--set data.nucleus_um=7 to go by the size of its nuclei, or --set data.scale=as_is."
            )
        return zoom_to_nuclei(labels, self.settings.nucleus_um / self.mpp)


def open_source(settings: DataSettings, mpp: float, tile_px: int) -> Source:
    """``mpp`` and ``tile_px`` are the model's."""
    if settings.kind == "synthetic":
        return Source(settings, mpp, tile_px, None, ("synthetic",), ("CC0-1.0",))
    if not settings.images:
        raise DataError(
            f"data.kind is {settings.kind}: needed data.images, "
            + ("the archive." if settings.kind == "pack" else "where they lie. Pass --set data.images=PATH.")
        )
    path = Path(settings.images)
    if settings.kind == "pack":
        names, licences, data = _of_pack(path, settings.only)
    else:
        data = open_kind(
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
    """With a part to validate on."""
    if settings.val_share == 0:
        return replace(data, samples=tuple(replace(s, split=s.split or "train") for s in data.samples))
    return with_validation(data.grouped_by(settings.group_by), settings.val_share, settings.seed)


def zoom_to_nuclei(labels: Labels, wanted_px: float) -> float:
    """What gives the median nucleus this diameter; 1 where there are too few to tell."""
    area_px = np.bincount(labels.ravel())[1:]
    area_px = area_px[area_px > 0]
    if len(area_px) < _FEWEST_NUCLEI:
        return 1.0
    diameter_px = float(np.sqrt(4 * np.median(area_px) / np.pi))
    return float(np.clip(wanted_px / diameter_px, 1 / _MOST_ZOOM, _MOST_ZOOM))
