"""Split a dataset into parts that share no group. The same seed gives the same parts on every machine.

The order is that of the hashes of seed and name. It depends neither on numpy's generators nor on the order of
files.
"""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from sac_wsi.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sac_wsi.datasets.sample import DataSet


def held_back_groups(groups: Sequence[str], share: float, seed: int) -> set[str]:
    """Return the groups for validation: together as close to ``share`` of all items as possible.

    ``groups`` has the group of each item. At least one group is for validation and at least one is not.
    """
    if not 0 < share < 1:
        raise DataError(f"A validation share of {share}: needed more than 0 and less than 1.")
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
    # every group is too large: take the smallest, and of equal ones the first in the drawn order
    return held or {min(order, key=lambda group: size[group])}


def split_by_names(data: DataSet, val: Sequence[str] = (), without: Sequence[str] = ()) -> DataSet:
    """Mark the images of named groups as val and all others as train; leave groups out.

    Args:
        data: The dataset.
        val: Names of groups, or patterns such as "mouse *".
        without: Names or patterns of the groups to leave out.

    Raises:
        DataError: A name or pattern fits no group.
    """
    groups = {sample.group for sample in data.samples}
    for pattern in (*val, *without):
        if not any(fnmatchcase(group, pattern) for group in groups):
            near = difflib.get_close_matches(pattern, groups, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(sorted(groups)[:8])}."
            raise DataError(f"{data.name} has no group {pattern!r}. {hint}")

    def is_in(group: str, patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(group, pattern) for pattern in patterns)

    kept = data.where(lambda sample: not is_in(sample.group, without))
    if not val:
        return kept
    return replace(
        kept,
        samples=tuple(
            replace(sample, split="val" if is_in(sample.group, val) else "train") for sample in kept.samples
        ),
    )


def split_by_group(data: DataSet, share: float = 0.2, seed: int = 0) -> tuple[DataSet, DataSet]:
    """Return a training part, marked train, and a validation part, marked val."""
    try:
        held = held_back_groups([sample.group for sample in data.samples], share, seed)
    except DataError as error:
        raise DataError(f"{data.name}: {error}") from None
    train = data.where(lambda sample: sample.group not in held)
    return train.marked("train"), data.where(lambda sample: sample.group in held).marked("val")


def with_validation(data: DataSet, share: float = 0.2, seed: int = 0) -> DataSet:
    """Mark a share of the training images as val; the publisher's test images stay."""
    if any(sample.split == "val" for sample in data.samples):
        return data
    train, held = split_by_group(data.where(lambda sample: sample.split in ("", "train")), share, seed)
    part_of = {sample.name: sample.split for part in (train, held) for sample in part.samples}
    return replace(data, samples=tuple(replace(s, split=part_of.get(s.name, s.split)) for s in data.samples))


def split_at_random(data: DataSet, seed: int = 0, tenths: tuple[int, int, int] = (8, 1, 1)) -> DataSet:
    """Mark the images train, val and test at random, 8 : 1 : 1; an empty part is an error."""
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
    """Return the names in an order that depends only on the seed and the names."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
