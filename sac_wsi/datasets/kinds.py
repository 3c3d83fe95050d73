"""A layout by its name, as the command line and the pipelines give it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sac_wsi.datasets.dsb import open_dsb
from sac_wsi.datasets.folders import open_folders, open_tnbc
from sac_wsi.datasets.glas import open_glas
from sac_wsi.datasets.monuseg import open_monuseg
from sac_wsi.datasets.pack import Pack
from sac_wsi.datasets.split import split_at_random
from sac_wsi.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sac_wsi.datasets.sample import DataSet

KINDS = ("monuseg", "tnbc", "dsb", "glas", "folders", "pack")

_FEWEST_TO_SPLIT = 10


def open_kind(
    kind: str,
    images: Path,
    labels: Path | None = None,
    *,
    mpp: float | None = None,
    group_pattern: str = "",
    allow_missing: bool = False,
) -> DataSet:
    """The set. ``mpp`` and ``group_pattern`` are for folders, whose layout does not tell them."""
    if kind != "folders" and (mpp is not None or group_pattern):
        raise DataError(f"mpp and group pattern are told by the layout {kind}; leave them away.")
    if kind in ("folders", "tnbc") and labels is None:
        raise DataError(f"The layout {kind} needs two folders: give that of the labels, too (--labels DIR).")
    if kind not in ("folders", "tnbc", "monuseg") and labels is not None:
        raise DataError(f"The layout {kind} has its labels beside its images; leave --labels away.")
    openers: dict[str, Callable[[], DataSet]] = {
        "monuseg": lambda: open_monuseg(images, labels, allow_missing=allow_missing),
        "tnbc": lambda: open_tnbc(images, labels or images, allow_missing=allow_missing),
        "dsb": lambda: _split_if_enough(open_dsb(images, seed=None, allow_missing=allow_missing)),
        "glas": lambda: open_glas(images, allow_missing=allow_missing),
        "folders": lambda: open_folders(
            images, labels or images, mpp=mpp, group_pattern=group_pattern, allow_missing=allow_missing
        ),
        "pack": lambda: Pack.open(images).as_dataset(),
    }
    if kind not in openers:
        raise DataError(f"There is no layout {kind!r}. There are: {', '.join(KINDS)}.")
    return openers[kind]()


def _split_if_enough(data: DataSet) -> DataSet:
    """A few images to look at are no set to learn from."""
    return split_at_random(data) if len(data) >= _FEWEST_TO_SPLIT else data
