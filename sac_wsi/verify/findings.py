"""The problems a check found: all are counted, the first of each kind are listed."""

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
    """A problem: its kind, where it is, and what was found."""

    kind: str
    where: str
    detail: str


@dataclass
class Findings:
    """Problems by kind. A damaged store can have millions; only the first of each kind are kept."""

    listed_per_kind: int = LISTED_PER_KIND
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.counts

    def add(self, kind: str, where: str, detail: str) -> None:
        """Count a problem, and list it if its kind has few so far."""
        if self.counts[kind] < self.listed_per_kind:
            self.problems.append(Problem(kind, where, detail))
        self.counts[kind] += 1

    def add_flagged(
        self, kind: str, rows: NucleusRows, wrong: NDArray[np.bool_], detail: Callable[[int], str]
    ) -> None:
        """Add a problem for each flagged row. ``detail(row)`` is called only for the listed ones."""
        flagged = np.flatnonzero(wrong)
        room = max(0, self.listed_per_kind - self.counts[kind])
        for row in flagged[:room].tolist():
            self.problems.append(Problem(kind, nucleus(int(rows.id[row])), detail(row)))
        if len(flagged):
            self.counts[kind] += len(flagged)

    def extend(self, other: Findings) -> None:
        """Add the problems that another check found."""
        self.counts.update(other.counts)
        self.problems.extend(other.problems)


def nucleus(label: int) -> str:
    """Return the name of a nucleus for ``Problem.where``."""
    return f"nucleus {label}"
