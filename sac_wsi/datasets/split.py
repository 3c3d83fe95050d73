"""Parts of a set that share no group. The same seed gives the same parts on every machine and version.

The order is that of hashes of seed and name: neither numpy's generators nor the order of files matter.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from sac_wsi.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sac_wsi.datasets.sample import DataSet


def held_back_groups(groups: Sequence[str], share: float, seed: int) -> set[str]:
    """The groups to validate on: together as near to ``share`` of all items as whole groups allow.

    ``groups`` has the group of each item. At least one group is held back, and at least one is not.
    """
    if not 0 < share < 1:
        raise DataError(f"A share of {share} to validate on: needed more than 0 and less than 1.")
    size = Counter(groups)
    if len(size) < 2:
        found = f"one group, {next(iter(size))!r}" if size else "nothing"
        raise DataError(
            f"There is {found} to split: one side would be empty. Needed two groups (organs, patients): "
            "add images, or name the parts yourself."
        )
    wanted = share * len(groups)
    held: set[str] = set()
    count = 0
    order = shuffled(sorted(size), seed)
    for group in order[:-1]:
        if abs(count + size[group] - wanted) < abs(count - wanted):
            held.add(group)
            count += size[group]
    # all of them are too large: the smallest, and of several the first in the drawn order
    return held or {min(order, key=lambda group: size[group])}


def split_by_group(data: DataSet, share: float = 0.2, seed: int = 0) -> tuple[DataSet, DataSet]:
    """To learn from, marked train, and to validate on, marked val."""
    try:
        held = held_back_groups([sample.group for sample in data.samples], share, seed)
    except DataError as error:
        raise DataError(f"{data.name}: {error}") from None
    learn = data.where(lambda sample: sample.group not in held)
    return learn.marked("train"), data.where(lambda sample: sample.group in held).marked("val")


def with_validation(data: DataSet, share: float = 0.2, seed: int = 0) -> DataSet:
    """The set with part of what is to be learnt from marked val; what its publisher tests on stays so."""
    if any(sample.split == "val" for sample in data.samples):
        return data
    learn, held = split_by_group(data.where(lambda sample: sample.split in ("", "train")), share, seed)
    part_of = {sample.name: sample.split for part in (learn, held) for sample in part.samples}
    return replace(data, samples=tuple(replace(s, split=part_of.get(s.name, s.split)) for s in data.samples))


def split_at_random(data: DataSet, seed: int = 0, tenths: tuple[int, int, int] = (8, 1, 1)) -> DataSet:
    """The set with its images marked train, val and test, 8 : 1 : 1; an error where a part stays empty."""
    order = shuffled([sample.name for sample in data.samples], seed)
    total = sum(tenths)
    first = round(len(order) * tenths[0] / total)
    second = round(len(order) * (tenths[0] + tenths[1]) / total)
    counts = (first, second - first, len(order) - second)
    if any(count == 0 < part for count, part in zip(counts, tenths, strict=True)):
        raise DataError(f"{data.name} has {len(order)} images: too few for parts of {tenths}. Needed 10.")
    part_of = {
        name: "train" if i < first else "val" if i < second else "test" for i, name in enumerate(order)
    }
    return replace(data, samples=tuple(replace(s, split=part_of[s.name]) for s in data.samples))


def shuffled(names: Sequence[str], seed: int) -> list[str]:
    """The names in an order that depends on the seed and on them alone."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
