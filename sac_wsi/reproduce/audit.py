"""Check the split behind a table: its number of images, and images that are in two parts of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sac_wsi.reproduce.experiment import DATASET_NAMES, Dataset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sac_wsi.datasets.check import Report

PAPER_SPLITS: dict[Dataset, tuple[int, int, int]] = {
    "monuseg": (30, 0, 14),
    "dsb": (536, 67, 67),
    "glas": (85, 0, 80),
}
"""Train, val, test. DSB's are 80/10/10 of 670."""

_MOST_NAMED = 5


@dataclass(frozen=True)
class SplitAudit:
    """The split of a dataset and the problems found in it.

    duplicates  images with the same pixels in two parts
    near        images in two parts that look almost the same
    groups      organs or patients that are in two parts
    unreadable  images that were left out
    note        a further remark, for example that the test images are not the official ones
    """

    dataset: Dataset
    source: str
    train: int
    val: int
    test: int
    duplicates: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    note: str = ""

    @property
    def as_paper(self) -> bool:
        """Whether the numbers of training images (with validation) and of test images are the paper's."""
        train, val, test = PAPER_SPLITS[self.dataset]
        return (self.train + self.val, self.test) == (train + val, test)

    def lines(self) -> Iterator[str]:
        """Yield the lines that describe the split."""
        train, val, test = PAPER_SPLITS[self.dataset]
        name = DATASET_NAMES[self.dataset]
        differs = "" if self.as_paper else "; NOT THE PAPER'S NUMBER OF IMAGES"
        yield (
            f"{name}: {self.train} train, {self.val} val, {self.test} test "
            f"(paper: {train}, {val or 'none named'}, {test}){differs}; from {self.source}"
        )
        for what, found in (
            ("the same image in two parts", self.duplicates),
            ("nearly the same image in two parts", self.near),
            ("organ or patient in two parts", self.groups),
            ("unreadable, left out", self.unreadable),
        ):
            if found or what.startswith("the same"):
                yield f"{name}: {what}: {_named(found)}"
        if self.note:
            yield f"{name}: {self.note}"


def audit_from_report(dataset: Dataset, report: Report, source: str, note: str = "") -> SplitAudit:
    """Build the audit from the report of ``sac-wsi data check`` on a dataset with marked parts."""
    parts = report.summary.splits

    def found(kind: str) -> tuple[str, ...]:
        return tuple(f"{f.where}: {f.detail}" for f in report.findings if f.kind == kind)

    return SplitAudit(
        dataset=dataset,
        source=source,
        train=parts.get("train", 0),
        val=parts.get("val", 0),
        # GlaS has two, testA and testB
        test=sum(count for part, count in parts.items() if part.startswith("test")),
        duplicates=found("duplicate across splits"),
        near=found("near-duplicate across splits"),
        groups=found("group across splits"),
        unreadable=found("unreadable"),
        note=note,
    )


def _named(found: tuple[str, ...]) -> str:
    if not found:
        return "none"
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return f"{len(found)} ({'; '.join(found[:_MOST_NAMED])}{more})"
