"""DSB 2018, stage1_train: ID/images/ID.png and ID/masks/*.png, one mask per nucleus; a folder or the zip.

Where masks overlap, which is rare, the first mask by name keeps the pixel. Object i is the i-th mask by name.
Patients are not known, so each image is its own group.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from sac_wsi.datasets.folder_or_zip import FolderOrZip, open_folder_or_zip
from sac_wsi.datasets.image_type import is_stained as is_stained
from sac_wsi.datasets.pixels import read_mask, read_rgb
from sac_wsi.datasets.sample import DataSet, Labels, Rgb, Sample, data_set, refuse_missing
from sac_wsi.datasets.split import split_at_random
from sac_wsi.errors import DataError

LICENCE = "CC0-1.0"


def open_dsb(source: Path, *, seed: int | None = 0, allow_missing: bool = False) -> DataSet:
    """Open the dataset, split train/val/test 80/10/10 by ``seed``; None does not split it."""
    members = open_folder_or_zip(source)
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
    """Return the images of stained tissue. Reads all images."""
    return data.where(lambda sample: is_stained(sample.read_rgb()))


def _by_id(members: FolderOrZip) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the image of each ID and its sorted masks, in any parent folders."""
    images: dict[str, str] = {}
    masks: dict[str, list[str]] = {}
    for name in members.names:
        parts = PurePosixPath(name).parts
        if len(parts) < 3 or not name.endswith(".png") or parts[0] == "__MACOSX" or parts[-1][0] == ".":
            continue
        if parts[-2] == "images":
            if parts[-3] in images:
                raise DataError(
                    f"{members.source} has two images of {parts[-3]}. Needed one: remove the other."
                )
            images[parts[-3]] = name
        elif parts[-2] == "masks":
            masks.setdefault(parts[-3], []).append(name)
    return images, masks


def _image(members: FolderOrZip, name: str) -> Rgb:
    return read_rgb(members.read(name), name)


def _labels(members: FolderOrZip, names: list[str], rgb: Rgb) -> Labels:
    labels = np.zeros(rgb.shape[:2], np.int32)
    for number, name in enumerate(names, 1):
        mask = read_mask(members.read(name), name)
        if mask.shape != labels.shape:
            raise DataError(
                f"{name} is {mask.shape[1]} x {mask.shape[0]} px, its image {rgb.shape[1]} x {rgb.shape[0]}. "
                "Needed the same size."
            )
        labels[mask & (labels == 0)] = number
    return labels
