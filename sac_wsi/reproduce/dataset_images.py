"""The images of a dataset: for training, for scoring, and all of them for the check of the split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sac_wsi.datasets.check import check_dataset
from sac_wsi.datasets.images import Images
from sac_wsi.datasets.sample import DataSet
from sac_wsi.reproduce.audit import SplitAudit, audit_from_report
from sac_wsi.reproduce.experiment import Dataset
from sac_wsi.reproduce.training_config import with_place
from sac_wsi.train.source import Source, open_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from sac_wsi.reproduce.inputs import Place
    from sac_wsi.train.config import DataSettings


@dataclass(frozen=True)
class DatasetImages:
    """The images of a dataset.

    tested   images to score on; ``note`` says so if they are not the official test images
    audited  all images used for training, validation or scoring; None for synthetic images
    """

    dataset: Dataset
    source: Source
    tested: Images
    audited: DataSet | None
    note: str = ""


def open_dataset_images(
    dataset: Dataset, settings: DataSettings, mpp: float, tile_px: int, test: Place | None
) -> DatasetImages:
    """Open the images of a dataset; ``mpp`` and ``tile_px`` are those of the model."""
    source = open_source(settings, mpp, tile_px)
    if source.data is None:
        return DatasetImages(dataset, source, source.part("test"), None)
    training = source.data.where(lambda sample: not sample.is_test)
    if test is not None:
        held = _all_of(replace(with_place(settings, test), val_share=0.0), mpp, tile_px)
    elif any(sample.is_test for sample in source.data.samples):
        held = source.data.where(lambda sample: sample.is_test)
    else:
        note = (
            "no test images: scored on the validation images, by which training stops, so the "
            f"scores are too high. Pass --test {dataset}=IMAGES[,LABELS]"
        )
        return DatasetImages(dataset, source, source.part("val"), training, note)
    return DatasetImages(dataset, source, source.images_of(held), _with_test(training, held))


def _all_of(settings: DataSettings, mpp: float, tile_px: int) -> DataSet:
    data = open_source(settings, mpp, tile_px).data
    assert data is not None
    return data


def _with_test(training: DataSet, held: DataSet) -> DataSet:
    """Join both sets, with their splits. A test image may have the name of a training image."""
    tested = tuple(replace(sample, name=f"{sample.name} (test)", split="test") for sample in held.samples)
    missing = tuple(dict.fromkeys(training.missing + held.missing))
    sources = dict.fromkeys((training.source, held.source))
    return replace(training, samples=training.samples + tested, missing=missing, source=" and ".join(sources))


def audit_split(
    opened: DatasetImages, on_image: Callable[[str], None] = lambda name: None
) -> SplitAudit | None:
    """Check the split; reads every image."""
    data = opened.audited
    if data is None:
        return None
    return audit_from_report(opened.dataset, check_dataset(data, on_image), data.source, opened.note)
