"""What a run needs and has not."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sac_wsi.reproduce.runs import DATASET_NAMES, Dataset, Run

if TYPE_CHECKING:
    from sac_wsi.reproduce.scale import Scale


@dataclass(frozen=True)
class Given:
    """sam   encoders whose file of Meta's is at hand: "vit_b", "vit_l", "vit_h"
    data  the sets that are
    """

    sam: Set[str] = frozenset()
    data: Set[Dataset] = frozenset()


def missing(run: Run, scale: Scale, given: Given) -> str:
    """What to pass, or "" where nothing is missing.

    At small scale nothing ever is: encoders learn from nothing, and images that are made on the spot stand
    in for a set.

    >>> from sac_wsi.reproduce.scale import PAPER_SCALE
    >>> missing(Run("dsb", "sam", experts=1), PAPER_SCALE, Given(data={"dsb"}))
    'needs sam_vit_h: pass --sam-checkpoint FILE'
    """
    if not scale.from_sam:
        return ""
    needs = []
    if run.encoder and run.encoder not in given.sam:
        needs.append(f"needs {run.sam_model}: pass --sam-checkpoint FILE")
    if run.dataset not in given.data:
        needs.append(f"needs {DATASET_NAMES[run.dataset]}: pass --data {run.dataset}=FOLDER")
    return "; ".join(needs)
