"""What a check found: every problem counted, the first few of each kind listed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sac_wsi.nuclei.table import NucleusRows

LISTED_PER_KIND = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: its kind (one of few), where, and what was found."""

    kind: str
    where: str
    detail: str


@dataclass
class Findings:
    """Problems by kind. A damaged store has millions; memory and report stay small."""

    listed_per_kind: int = LISTED_PER_KIND
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.counts

    def add(self, kind: str, where: str, detail: str) -> None:
        if self.counts[kind] < self.listed_per_kind:
            self.problems.append(Problem(kind, where, detail))
        self.counts[kind] += 1

    def add_flagged(
        self, kind: str, rows: NucleusRows, wrong: NDArray[np.bool_], detail: Callable[[int], str]
    ) -> None:
        """One problem for each flagged row; ``detail`` is asked only for those that get listed."""
        flagged = np.flatnonzero(wrong)
        room = max(0, self.listed_per_kind - self.counts[kind])
        for row in flagged[:room].tolist():
            self.problems.append(Problem(kind, nucleus(int(rows.id[row])), detail(row)))
        if len(flagged):
            self.counts[kind] += len(flagged)

    def extend(self, other: Findings) -> None:
        """Take over what another check found."""
        self.counts.update(other.counts)
        self.problems.extend(other.problems)


def nucleus(label: int) -> str:
    """How a nucleus is named in a problem."""
    return f"nucleus {label}"
