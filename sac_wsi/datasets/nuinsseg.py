"""NuInsSeg (Mahbod et al. 2024): 665 fields of 31 organs of man and mouse, from one scanner.

The published layout has a folder for each organ, ``human liver/tissue images/human_liver_01.png`` with
``human liver/label masks/human_liver_01.tif``. Two folders with the same file names are read too.

Some blurred nuclei have no outline. The publisher marks such places in "vague areas", which are not read: a
nucleus that is found there counts as wrong, and a training learns that it is background.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from sac_wsi.datasets.label_files import by_stem
from sac_wsi.datasets.pairs import Pair, images_in, matched
from sac_wsi.datasets.pixels import LABEL_SUFFIXES, read_labels, read_rgb
from sac_wsi.datasets.sample import DataSet, Labels, Rgb, Sample, data_set, refuse_missing
from sac_wsi.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

LICENCE = "CC-BY-4.0"
MPP = 0.1625
"""Pixels of 6.5 µm in the camera, at 40x. It is not in the files; the sizes of nuclei give 0.16 ± 0.02."""
IMAGES, LABELS = "tissue images", "label masks"

_NAME = re.compile(r"(human|mouse)_(.+?)_(\d+)")


def open_nuinsseg(images: Path, labels: Path | None = None, *, allow_missing: bool = False) -> DataSet:
    """Open the dataset; its groups are the organs, because the fields of an organ come from one slide.

    Args:
        images: Folder of the organs' folders; or, with ``labels``, folder of all images.
        labels: Folder of all label maps.
        allow_missing: Whether images without labels, and labels without image, are left out.
    """
    folders = [(images, labels)] if labels is not None else _organ_folders(images)
    pairs: list[Pair] = []
    missing: list[str] = []
    for of_images, of_labels in folders:
        found, without = matched(images_in(of_images), by_stem(of_labels, LABEL_SUFFIXES))
        pairs += found
        missing += without
    refuse_missing(missing, allow_missing)
    return data_set("nuinsseg", [_sample(pair) for pair in pairs], str(images), LICENCE, missing)


def organ_of(stem: str) -> tuple[str, str]:
    """Return species and organ in a file name.

    >>> organ_of("human_salivary_gland_07")
    ('human', 'human salivary gland')
    """
    named = _NAME.fullmatch(stem)
    if named is None:
        raise DataError(
            f"{stem} is not a file name of NuInsSeg: needed human_ORGAN_NUMBER or mouse_ORGAN_NUMBER."
        )
    species, organ, _ = named.groups()
    return species, f"{species} {organ.replace('_', ' ')}"


def _organ_folders(folder: Path) -> list[tuple[Path, Path]]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: give the folder of NuInsSeg's organs.")
    organs = sorted(each for each in folder.iterdir() if (each / IMAGES).is_dir())
    if not organs:
        raise DataError(
            f'{folder} has no folder ORGAN/"{IMAGES}": give the folder of NuInsSeg\'s organs, or the folder '
            "of all images together with --labels DIR."
        )
    return [(organ / IMAGES, organ / LABELS) for organ in organs]


def _sample(pair: Pair) -> Sample:
    species, organ = organ_of(pair.stem)
    return Sample(
        pair.stem,
        organ,
        partial(read_rgb, pair.image),
        partial(_labels, pair.labels),
        mpp=MPP,
        about={"species": species, "organ": organ},
    )


def _labels(path: Path, rgb: Rgb) -> Labels:
    return read_labels(path)
