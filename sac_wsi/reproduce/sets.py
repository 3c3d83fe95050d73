"""The images of a set: those to learn from, those to score on, and both of them to be audited."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sac_wsi.datasets.check import check_dataset
from sac_wsi.datasets.images import Images
from sac_wsi.datasets.sample import DataSet
from sac_wsi.reproduce.audit import SplitAudit, audit_of
from sac_wsi.reproduce.recipe import in_place
from sac_wsi.reproduce.runs import Dataset
from sac_wsi.train.source import Source, open_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from sac_wsi.reproduce.inputs import Place
    from sac_wsi.train.config import DataSettings


@dataclass(frozen=True)
class OpenSet:
    """tested  the images to score on, and ``note`` where they are not what they should be
    audited    every image that is learnt from, validated or scored on; None where they are made on the spot
    """

    dataset: Dataset
    source: Source
    tested: Images
    audited: DataSet | None
    note: str = ""


def open_set(
    dataset: Dataset, settings: DataSettings, mpp: float, tile_px: int, test: Place | None
) -> OpenSet:
    """``mpp`` and ``tile_px`` are the model's."""
    source = open_source(settings, mpp, tile_px)
    if source.data is None:
        return OpenSet(dataset, source, source.part("test"), None)
    learnt = source.data.where(lambda sample: not sample.is_test)
    if test is not None:
        held = _all_of(replace(in_place(settings, test), val_share=0.0), mpp, tile_px)
    elif any(sample.is_test for sample in source.data.samples):
        held = source.data.where(lambda sample: sample.is_test)
    else:
        note = (
            "no test images at hand: scored on the validation images, by which training stops, so the "
            f"scores flatter. Pass --test {dataset}=IMAGES[,LABELS]"
        )
        return OpenSet(dataset, source, source.part("val"), learnt, note)
    return OpenSet(dataset, source, source.images_of(held), _with_test(learnt, held))


def _all_of(settings: DataSettings, mpp: float, tile_px: int) -> DataSet:
    data = open_source(settings, mpp, tile_px).data
    assert data is not None
    return data


def _with_test(learnt: DataSet, held: DataSet) -> DataSet:
    """One set, its parts marked. A test image may have the name of one that is learnt from."""
    tested = tuple(replace(sample, name=f"{sample.name} (test)", split="test") for sample in held.samples)
    missing = tuple(dict.fromkeys(learnt.missing + held.missing))
    sources = dict.fromkeys((learnt.source, held.source))
    return replace(learnt, samples=learnt.samples + tested, missing=missing, source=" and ".join(sources))


def audit(opened: OpenSet, on_image: Callable[[str], None] = lambda name: None) -> SplitAudit | None:
    """Reads every image."""
    data = opened.audited
    if data is None:
        return None
    return audit_of(opened.dataset, check_dataset(data, on_image), data.source, opened.note)
