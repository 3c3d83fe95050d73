"""What the user has: images by set, and Meta's files of SAM by encoder."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sac_wsi.errors import RequestError
from sac_wsi.reproduce.needs import Given
from sac_wsi.reproduce.runs import DATASET_NAMES, Dataset

SAM_ENCODERS = ("vit_b", "vit_l", "vit_h")


@dataclass(frozen=True)
class Place:
    """Where a set lies, as ``sac-wsi data check`` takes it; ``labels`` None: beside the images."""

    images: Path
    labels: Path | None = None


@dataclass(frozen=True)
class Inputs:
    """test: images to score on, in the place of the set's own test part."""

    data: Mapping[Dataset, Place] = field(default_factory=dict)
    test: Mapping[Dataset, Place] = field(default_factory=dict)
    sam: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if alone := sorted(self.test.keys() - self.data.keys()):
            raise RequestError(
                f"--test {alone[0]} stands alone: needed images to learn from, too. Pass --data "
                f"{alone[0]}=IMAGES[,LABELS]."
            )

    @property
    def given(self) -> Given:
        return Given(self.sam.keys(), self.data.keys())


def places(option: str, words: Sequence[str]) -> dict[Dataset, Place]:
    """Of all ``--data`` or ``--test``: SET=IMAGES[,LABELS]."""
    found: dict[Dataset, Place] = {}
    for word in words:
        name, equals, told = word.partition("=")
        if not equals or not told:
            raise RequestError(
                f"{option} {word}: needed SET=IMAGES[,LABELS], such as {option} monuseg=images,annotations."
            )
        dataset = _dataset(option, name)
        if dataset in found:
            raise RequestError(f"{option} names {dataset} twice: give one of the two.")
        found[dataset] = _place(option, told)
    return found


def _dataset(option: str, name: str) -> Dataset:
    known: dict[str, Dataset] = {each: each for each in DATASET_NAMES}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}."
    raise RequestError(f"{option}: there is no set {name!r}. {hint}")


def _place(option: str, told: str) -> Place:
    """A path may have a comma in it."""
    images, comma, labels = (told, "", "") if Path(told).exists() else told.partition(",")
    if comma and not labels:
        raise RequestError(
            f"{option} {told}: the labels behind the comma are missing. Add them, or leave it out."
        )
    for path in filter(None, (images, labels)):
        if not Path(path).exists():
            raise RequestError(f"{option}: {path} does not exist. Check the path.")
    return Place(Path(images).absolute(), Path(labels).absolute() if labels else None)


def sam_files(paths: Sequence[Path]) -> dict[str, Path]:
    """Each by the encoder that is in it, whatever its name."""
    from sac_wsi.model.nets.sam import encoder_of, read_sam_file  # torch: not where no file is given

    found: dict[str, Path] = {}
    for path in paths:
        encoder = encoder_of(read_sam_file(path), str(path))
        if encoder not in SAM_ENCODERS:
            raise RequestError(
                f"{path} holds {encoder}; needed SAM's own {', '.join(SAM_ENCODERS)}: no row uses another."
            )
        if encoder in found:
            raise RequestError(f"{found[encoder]} and {path} both hold {encoder}: give one of them.")
        found[encoder] = path.absolute()
    return found
