"""MoNuSeg: 1000 x 1000 images at 40x (.tif), an Aperio annotation of the same name for each.

The training part has a folder of images and one of annotations, the test part both in one. A label map
(.png, .npy) may stand where an annotation would. ``polygons`` holds the convention of the coordinates.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sac_wsi.datasets.aperio_xml import annotation_mpp, read_annotation
from sac_wsi.datasets.label_files import SUFFIXES, by_stem
from sac_wsi.datasets.pairs import Pair, images_in, matched
from sac_wsi.datasets.pixels import read_labels, read_rgb
from sac_wsi.datasets.polygons import paint
from sac_wsi.datasets.sample import DataSet, Labels, Rgb, Sample, data_set, refuse_missing

if TYPE_CHECKING:
    from pathlib import Path

LICENCE = "CC-BY-NC-SA-4.0"
MPP = 0.25
"""40x. The mpp in an annotation has priority."""

LABEL_OFFSET_YX = (-0.75, -0.4)
"""Offset in pixels of the publishers' labels from the nuclei. It was measured with the masks of a U-Net that
was trained on randomly rotated crops. The labels are not moved; training takes the offset into account."""

_PATIENT_LETTERS = len("TCGA-18-5592")
_ORGANS = {
    "bladder": "DK-A2I6 G2-A2EK CU-A0YN ZF-A9R5",
    "brain": "FG-A4MU HT-8564",
    "breast": "A7-A13E A7-A13F AR-A1AK AR-A1AS E2-A14V E2-A1B5 AC-A2FO AO-A0J2",
    "colon": "AY-A8YK NH-A8F7 A6-6782",
    "kidney": "B0-5698 B0-5710 B0-5711 HE-7128 HE-7129 HE-7130 2Z-A9J9 GL-6846 IZ-8196",
    # the publishers say liver; TCGA's own codes 18, 21, 38, 49 and 50 say lung
    "liver": "18-5592 21-5784 21-5786 38-6178 49-4488 50-5931",
    "lung": "44-2665 69-7764",
    "prostate": "CH-5767 G9-6336 G9-6348 G9-6356 G9-6362 G9-6363 EJ-A46H HC-7209",
    "stomach": "KB-A93J RD-A8N9",
}
ORGAN_OF_PATIENT = {f"TCGA-{code}": organ for organ, codes in _ORGANS.items() for code in codes.split()}
"""The 30 training and 14 test images, checked against public lists made after the publishers' documents: that
of torch_em for the training part, one other for both. Some lists differ in the test part."""


def open_monuseg(images: Path, annotations: Path | None = None, *, allow_missing: bool = False) -> DataSet:
    """Open the dataset; its groups are patients. Known organs are in ``about``.

    ``annotations`` None: beside the images, in their own folder.
    """
    pairs, missing = matched(images_in(images), _annotations(annotations or images, annotations is None))
    refuse_missing(missing, allow_missing)
    return data_set("monuseg", map(_sample, pairs), str(images), LICENCE, missing)


def organ(name: str) -> str | None:
    """Return the organ of an image from its file name.

    >>> organ("TCGA-CH-5767-01Z-00-DX1"), organ("TCGA-XX-0000-01Z")
    ('prostate', None)
    """
    return ORGAN_OF_PATIENT.get(name[:_PATIENT_LETTERS])


def _annotations(folder: Path, xml_only: bool) -> dict[str, Path]:
    # in a folder of images, a .png file is an image
    labels = {} if xml_only else by_stem(folder, SUFFIXES)
    return labels | by_stem(folder, (".xml",))


def _sample(pair: Pair) -> Sample:
    known = organ(pair.stem)
    patient = pair.stem[:_PATIENT_LETTERS] if pair.stem.startswith("TCGA-") else pair.stem
    is_xml = pair.labels.suffix.lower() == ".xml"
    return Sample(
        pair.stem,
        patient,
        partial(read_rgb, pair.image),
        partial(_labels, pair.labels),
        mpp=(annotation_mpp(pair.labels) if is_xml else None) or MPP,
        about={"patient": patient} | ({"organ": known} if known else {}),
        label_offset_yx=LABEL_OFFSET_YX,
    )


def _labels(path: Path, rgb: Rgb) -> Labels:
    if path.suffix.lower() != ".xml":
        return read_labels(path)
    return paint(read_annotation(path).polygons_xy, (rgb.shape[0], rgb.shape[1]))
