"""A folder of images and one of label maps (.png, .tif, .npy), matched by stem, as in TNBC."""

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


def open_folders(
    images: Path,
    labels: Path,
    *,
    name: str = "folders",
    mpp: float | None = None,
    group_pattern: str = "",
    licence: str = "unknown",
    allow_missing: bool = False,
) -> DataSet:
    """Open a dataset of two folders.

    ``group_pattern`` finds the group in a file name: its first group in parentheses, or else the whole match.
    For TNBC's patients it is ``^(\\d+)_``. Without a pattern each image is its own group.
    """
    pattern = _compiled(group_pattern)
    pairs, missing = matched(images_in(images), by_stem(labels, LABEL_SUFFIXES))
    refuse_missing(missing, allow_missing)
    samples = [_sample(pair, group_of(pair.stem, pattern), mpp) for pair in pairs]
    return data_set(name, samples, str(images), licence, missing)


def open_tnbc(images: Path, labels: Path, *, allow_missing: bool = False) -> DataSet:
    """Open TNBC (Naylor et al.): 512 x 512 at 40x, PATIENT_FIELD.png."""
    return open_folders(
        images,
        labels,
        name="tnbc",
        mpp=0.25,
        group_pattern=r"^(\d+)_",
        licence="CC-BY-4.0",
        allow_missing=allow_missing,
    )


def group_of(name: str, pattern: re.Pattern[str] | None) -> str:
    """Return the group in a name.

    >>> group_of("07_3", re.compile(r"^(\\d+)_"))
    '07'
    """
    if pattern is None:
        return name
    found = pattern.search(name)
    if found is None:
        raise DataError(
            f"The group pattern {pattern.pattern!r} finds nothing in {name!r}. Needed a match in every name."
        )
    return found.group(1 if pattern.groups else 0)


def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern) if pattern else None
    except re.error as error:
        raise DataError(f"The group pattern {pattern!r} is not a regular expression: {error}.") from None


def _sample(pair: Pair, group: str, mpp: float | None) -> Sample:
    return Sample(pair.stem, group, partial(read_rgb, pair.image), partial(_labels, pair.labels), mpp=mpp)


def _labels(path: Path, rgb: Rgb) -> Labels:
    return read_labels(path)
