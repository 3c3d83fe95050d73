"""DSB 2018, stage1_train: ID/images/ID.png and ID/masks/*.png, one mask per nucleus; a folder or the zip.

Masks hardly overlap; where they do, the mask whose name comes first keeps the pixel. Object i is the i-th
mask by name. Patients are not told, so that each image is a group of its own.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from sac_wsi.datasets.members import Members, open_members
from sac_wsi.datasets.modality import is_stained as is_stained
from sac_wsi.datasets.pixels import read_mask, read_rgb
from sac_wsi.datasets.sample import DataSet, Labels, Rgb, Sample, data_set, refuse_missing
from sac_wsi.datasets.split import split_at_random
from sac_wsi.errors import DataError

LICENCE = "CC0-1.0"


def open_dsb(source: Path, *, seed: int | None = 0, allow_missing: bool = False) -> DataSet:
    """The set, marked train, val and test 80/10/10 by ``seed``; None leaves it in one piece."""
    members = open_members(source)
    images, masks = _by_id(members)
    missing = [f"{name} has no masks" for name in sorted(images.keys() - masks.keys())]
    missing += [f"{name} has masks but no image" for name in sorted(masks.keys() - images.keys())]
    refuse_missing(missing, allow_missing)
    samples = [
        Sample(name, name, partial(_image, members, images[name]), partial(_labels, members, masks[name]))
        for name in sorted(images.keys() & masks.keys())
    ]
    data = data_set("dsb2018", samples, str(source), LICENCE, missing)
    return data if seed is None else split_at_random(data, seed)


def stained_only(data: DataSet) -> DataSet:
    """The images of stained tissue. Reads all of them."""
    return data.where(lambda sample: is_stained(sample.read_rgb()))


def _by_id(members: Members) -> tuple[dict[str, str], dict[str, list[str]]]:
    """ID to its image, and ID to its masks in order; whatever folders stand above."""
    images: dict[str, str] = {}
    masks: dict[str, list[str]] = {}
    for name in members.names:
        parts = PurePosixPath(name).parts
        if len(parts) < 3 or not name.endswith(".png") or parts[0] == "__MACOSX" or parts[-1][0] == ".":
            continue
        if parts[-2] == "images":
            if parts[-3] in images:
                raise DataError(f"{members.source} has two images of {parts[-3]}. Needed one: take one away.")
            images[parts[-3]] = name
        elif parts[-2] == "masks":
            masks.setdefault(parts[-3], []).append(name)
    return images, masks


def _image(members: Members, name: str) -> Rgb:
    return read_rgb(members.read(name), name)


def _labels(members: Members, names: list[str], rgb: Rgb) -> Labels:
    labels = np.zeros(rgb.shape[:2], np.int32)
    for number, name in enumerate(names, 1):
        mask = read_mask(members.read(name), name)
        if mask.shape != labels.shape:
            raise DataError(
                f"{name} is {mask.shape[1]} x {mask.shape[0]} px, its image {rgb.shape[1]} x {rgb.shape[0]}. "
                "Needed one size."
            )
        labels[mask & (labels == 0)] = number
    return labels
