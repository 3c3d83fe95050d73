"""Images and annotations of two folders, matched by stem."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sac_wsi.datasets.label_files import by_stem
from sac_wsi.datasets.pixels import IMAGE_SUFFIXES


@dataclass(frozen=True)
class Pair:
    """An image file and the label file with the same stem."""

    stem: str
    image: Path
    labels: Path


def matched(images: dict[str, Path], labels: dict[str, Path]) -> tuple[list[Pair], list[str]]:
    """Return the pairs, and a message for each file without partner."""
    pairs = [Pair(stem, images[stem], labels[stem]) for stem in sorted(images.keys() & labels.keys())]
    missing = [f"{images[stem].name} has no annotation" for stem in sorted(images.keys() - labels.keys())]
    missing += [f"{labels[stem].name} has no image" for stem in sorted(labels.keys() - images.keys())]
    return pairs, missing


def images_in(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder by stem."""
    return by_stem(folder, IMAGE_SUFFIXES)
