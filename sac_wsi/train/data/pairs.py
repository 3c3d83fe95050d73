"""Images and annotations of two folders, matched by stem."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sac_wsi.errors import DataError
from sac_wsi.train.data.pixels import IMAGE_SUFFIXES


@dataclass(frozen=True)
class Pair:
    stem: str
    image: Path
    labels: Path


def by_stem(folder: Path, suffixes: Iterable[str], ending: str = "") -> dict[str, Path]:
    """Stem (less ``ending``) to file, in order; hidden files do not count. Two of a stem are an error."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}. Give one that exists.")
    wanted = set(suffixes)
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        stem = path.stem
        if path.suffix.lower() not in wanted or stem.startswith(".") or not stem.endswith(ending):
            continue
        stem = stem[: len(stem) - len(ending)]
        if stem in found:
            raise DataError(
                f"{folder} holds both {found[stem].name} and {path.name}. Needed one file of the name "
                f"{stem!r}: take one away."
            )
        found[stem] = path
    return found


def matched(images: dict[str, Path], labels: dict[str, Path]) -> tuple[list[Pair], list[str]]:
    """The pairs, and a line for each file that has no partner."""
    pairs = [Pair(stem, images[stem], labels[stem]) for stem in sorted(images.keys() & labels.keys())]
    missing = [f"{images[stem].name} has no annotation" for stem in sorted(images.keys() - labels.keys())]
    missing += [f"{labels[stem].name} has no image" for stem in sorted(labels.keys() - images.keys())]
    return pairs, missing


def images_in(folder: Path) -> dict[str, Path]:
    return by_stem(folder, IMAGE_SUFFIXES)
