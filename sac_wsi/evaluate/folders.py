"""Score a folder of predicted label images against a folder of true ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sac_wsi.datasets.label_files import SUFFIXES, label_files, read_labels
from sac_wsi.errors import RequestError
from sac_wsi.evaluate.metrics import ImageScores, Scores, score_image, score_missing, summarise

if TYPE_CHECKING:
    from pathlib import Path


def evaluate_folders(pred: Path, truth: Path, *, objects: bool = False) -> Scores:
    """Score each image of ``truth`` against the file of the same stem in ``pred``.

    A missing prediction is scored as an empty one and listed in ``Scores.missing``. A prediction without a
    true label image is not scored and is listed in ``Scores.extra``. Memory holds one pair of images at a
    time.

    Args:
        pred: Folder of predicted label images.
        truth: Folder of true label images.
        objects: Whether to compute the GlaS measures too.
    """
    true_files, pred_files = label_files(truth), label_files(pred)
    if not true_files:
        raise RequestError(f"{truth} has no label image ({', '.join(SUFFIXES)}): needed at least one.")
    images = [
        _score(stem, true_file, pred_files.get(stem), objects) for stem, true_file in true_files.items()
    ]
    return summarise(images, extra=[file.name for stem, file in pred_files.items() if stem not in true_files])


def _score(stem: str, true_file: Path, pred_file: Path | None, objects: bool) -> ImageScores:
    truth = read_labels(true_file)
    if pred_file is None:
        return score_missing(truth, name=stem, objects=objects)
    pred = read_labels(pred_file)
    if truth.shape != pred.shape:
        raise RequestError(
            f"{pred_file} has {pred.shape[0]} x {pred.shape[1]} pixels, its true labels {true_file} have "
            f"{truth.shape[0]} x {truth.shape[1]}: needed the same size."
        )
    return score_image(truth, pred, name=stem, objects=objects)
