"""Open a dataset by the name of its layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sac_wsi.datasets import LAYOUTS
from sac_wsi.datasets.dsb import open_dsb
from sac_wsi.datasets.folders import open_folders, open_tnbc
from sac_wsi.datasets.glas import open_glas
from sac_wsi.datasets.monuseg import open_monuseg
from sac_wsi.datasets.nuinsseg import open_nuinsseg
from sac_wsi.datasets.pack import Pack
from sac_wsi.datasets.split import split_at_random
from sac_wsi.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sac_wsi.datasets.sample import DataSet

_FEWEST_TO_SPLIT = 10


def open_layout(
    kind: str,
    images: Path,
    labels: Path | None = None,
    *,
    mpp: float | None = None,
    group_pattern: str = "",
    allow_missing: bool = False,
) -> DataSet:
    """Open a dataset.

    Args:
        kind: Name of the layout, one of ``sac_wsi.datasets.LAYOUTS``.
        images: Folder or archive of the images.
        labels: Folder of the labels, for layouts that have two folders.
        mpp: Microns per pixel, for the layout folders only.
        group_pattern: Finds the group in a file name, for the layout folders only.
        allow_missing: Whether images without labels, and labels without image, are left out.
    """
    if kind != "folders" and (mpp is not None or group_pattern):
        raise DataError(f"The layout {kind} has its own mpp and groups; leave out --mpp and --group-pattern.")
    if kind in ("folders", "tnbc") and labels is None:
        raise DataError(
            f"The layout {kind} needs two folders: give the folder of labels, too (--labels DIR)."
        )
    if kind not in ("folders", "tnbc", "monuseg", "nuinsseg") and labels is not None:
        raise DataError(f"The layout {kind} has its labels beside its images; leave out --labels.")
    openers: dict[str, Callable[[], DataSet]] = {
        "monuseg": lambda: open_monuseg(images, labels, allow_missing=allow_missing),
        "tnbc": lambda: open_tnbc(images, labels or images, allow_missing=allow_missing),
        "dsb": lambda: _split_if_enough(open_dsb(images, seed=None, allow_missing=allow_missing)),
        "glas": lambda: open_glas(images, allow_missing=allow_missing),
        "nuinsseg": lambda: open_nuinsseg(images, labels, allow_missing=allow_missing),
        "folders": lambda: open_folders(
            images, labels or images, mpp=mpp, group_pattern=group_pattern, allow_missing=allow_missing
        ),
        "pack": lambda: Pack.open(images).as_dataset(),
    }
    if kind not in openers:
        raise DataError(f"There is no layout {kind!r}. There are: {', '.join(LAYOUTS)}.")
    return openers[kind]()


def _split_if_enough(data: DataSet) -> DataSet:
    """Split the dataset at random, unless it has too few images."""
    return split_at_random(data) if len(data) >= _FEWEST_TO_SPLIT else data
