"""The user's inputs: images of each dataset and SAM checkpoints, and what a run still needs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sac_wsi.errors import RequestError
from sac_wsi.reproduce.experiment import DATASET_NAMES, Dataset, Experiment

if TYPE_CHECKING:
    from sac_wsi.reproduce.scale import Scale

SAM_ENCODERS = ("vit_b", "vit_l", "vit_h", "vit_t")


@dataclass(frozen=True)
class Place:
    """Paths of a dataset, as for ``sac-wsi data check``; ``labels`` None: they are beside the images."""

    images: Path
    labels: Path | None = None


@dataclass(frozen=True)
class Available:
    """What the user has.

    sam   encoders with a checkpoint: "vit_b", "vit_l", "vit_h", or "vit_t" of MobileSAM
    data  datasets
    """

    sam: Set[str] = frozenset()
    data: Set[Dataset] = frozenset()


@dataclass(frozen=True)
class Inputs:
    """All inputs. ``test``: images to score on, instead of the test part of ``data``."""

    data: Mapping[Dataset, Place] = field(default_factory=dict)
    test: Mapping[Dataset, Place] = field(default_factory=dict)
    sam: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if alone := sorted(self.test.keys() - self.data.keys()):
            raise RequestError(
                f"--test {alone[0]} stands alone: needed training images, too. Pass --data "
                f"{alone[0]}=IMAGES[,LABELS]."
            )

    @property
    def available(self) -> Available:
        """What the user has, by name."""
        return Available(self.sam.keys(), self.data.keys())


def missing_inputs(run: Experiment, scale: Scale, given: Available) -> str:
    """Return what the user must still pass for a run, or "" if nothing is missing.

    At small scale nothing is missing: encoders start from random weights, and synthetic images replace a
    dataset.

    >>> from sac_wsi.reproduce.scale import PAPER_SCALE
    >>> missing_inputs(Experiment("dsb", "sam", experts=1), PAPER_SCALE, Available(data={"dsb"}))
    'needs sam_vit_h: pass --sam-checkpoint FILE'
    """
    if not scale.from_sam:
        return ""
    run = scale.of(run)
    needs = []
    if run.encoder and run.encoder not in given.sam:
        needs.append(f"needs {run.sam_model}: pass --sam-checkpoint FILE")
    if run.dataset not in given.data:
        needs.append(f"needs {DATASET_NAMES[run.dataset]}: pass --data {run.dataset}=FOLDER")
    return "; ".join(needs)


def places(option: str, words: Sequence[str]) -> dict[Dataset, Place]:
    """Parse all ``--data`` or ``--test`` options: SET=IMAGES[,LABELS]."""
    found: dict[Dataset, Place] = {}
    for word in words:
        name, equals, paths = word.partition("=")
        if not equals or not paths:
            raise RequestError(
                f"{option} {word}: needed SET=IMAGES[,LABELS], such as {option} monuseg=images,annotations."
            )
        dataset = _dataset(option, name)
        if dataset in found:
            raise RequestError(f"{option} names {dataset} twice: give one of the two.")
        found[dataset] = _place(option, paths)
    return found


def _dataset(option: str, name: str) -> Dataset:
    known: dict[str, Dataset] = {each: each for each in DATASET_NAMES}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}."
    raise RequestError(f"{option}: there is no set {name!r}. {hint}")


def _place(option: str, text: str) -> Place:
    """Parse IMAGES[,LABELS]. A path may contain a comma."""
    images, comma, labels = (text, "", "") if Path(text).exists() else text.partition(",")
    if comma and not labels:
        raise RequestError(
            f"{option} {text}: the labels after the comma are missing. Add them, or remove the comma."
        )
    for path in filter(None, (images, labels)):
        if not Path(path).exists():
            raise RequestError(f"{option}: {path} does not exist. Check the path.")
    return Place(Path(images).absolute(), Path(labels).absolute() if labels else None)


def sam_files(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the checkpoints by the encoder that they contain; file names do not matter."""
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
