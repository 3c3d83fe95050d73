from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sac_wsi.datasets.sample import DataSet, Sample, joined
from sac_wsi.datasets.split import held_back_groups, split_at_random, split_by_group, with_validation
from sac_wsi.errors import DataError

GROUPS = st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=60).filter(lambda g: len(set(g)) > 1)
SHARES = st.floats(0.01, 0.99)


def data_of(groups, split=""):
    blank = np.zeros((2, 2, 3), np.uint8)
    samples = [
        Sample(f"{i:03}", group, lambda: blank, lambda rgb: np.zeros((2, 2), np.int32), split)
        for i, group in enumerate(groups)
    ]
    return DataSet("made", tuple(samples))


@given(GROUPS, SHARES, st.integers(0, 5))
def test_no_group_on_both_sides_and_every_image_on_one(groups, share, seed):
    data = data_of(groups)
    learn, held = split_by_group(data, share, seed)
    assert not {s.group for s in learn.samples} & {s.group for s in held.samples}
    assert sorted(s.name for part in (learn, held) for s in part.samples) == [s.name for s in data.samples]
    assert len(learn)
    assert len(held)
    assert {s.split for s in learn.samples} == {"train"}
    assert {s.split for s in held.samples} == {"val"}


@given(GROUPS, SHARES, st.integers(0, 5), st.randoms())
def test_the_order_of_the_files_does_not_matter(groups, share, seed, random):
    shuffled = list(groups)
    random.shuffle(shuffled)
    assert held_back_groups(groups, share, seed) == held_back_groups(shuffled, share, seed)


def test_the_split_is_this_one_for_ever():
    assert held_back_groups(list("aabbccddee"), 0.2, 0) == {"d"}
    assert held_back_groups(list("aabbccddee"), 0.2, 2) == {"c"}


def test_the_share_is_met_as_nearly_as_groups_allow():
    assert len(split_by_group(data_of([str(i) for i in range(100)]), 0.2)[1]) == 20
    assert len(split_by_group(data_of("a" * 50 + "b" * 50), 0.2)[1]) == 50


@pytest.mark.parametrize(("groups", "found"), [("aaa", "one group, 'a'"), ("", "nothing")])
def test_an_empty_split_is_an_error(groups, found):
    with pytest.raises(DataError, match=f"made: There is {found}"):
        split_by_group(data_of(groups))


@pytest.mark.parametrize("share", [0, 1, -1, float("nan")])
def test_a_share_that_leaves_nothing(share):
    with pytest.raises(DataError, match="needed more than 0"):
        held_back_groups(list("ab"), share, 0)


@given(st.integers(10, 700), st.integers(0, 3))
def test_eighty_ten_ten(count, seed):
    data = split_at_random(data_of(["g"] * count), seed)
    parts = Counter(s.split for s in data.samples)
    assert parts.keys() == {"train", "val", "test"}
    assert abs(parts["train"] - 0.8 * count) <= 0.5
    assert abs(parts["val"] - 0.1 * count) <= 1
    assert [s.name for s in data.samples] == [s.name for s in data_of(["g"] * count).samples]


def test_too_few_for_three_parts():
    with pytest.raises(DataError, match="too few"):
        split_at_random(data_of("aaa"))


def test_a_publishers_test_images_stay_so():
    other = replace(data_of("c"), name="other").marked("test")
    data = joined("all", [data_of("aabb", "train"), other])
    split = with_validation(data, 0.5)
    assert Counter(s.split for s in split.samples) == {"train": 2, "val": 2, "test": 1}
    assert with_validation(split) is split


def test_an_image_cannot_stand_in_two_parts():
    data = data_of("ab")
    with pytest.raises(DataError, match="would hold made/000 twice"):
        joined("all", [data.marked("train"), data.marked("val")])


def test_asking_for_a_split_that_is_not_there():
    with pytest.raises(DataError, match="no split 'val'. There are: none, split it first"):
        data_of("ab").part("val")
    with pytest.raises(DataError, match="There are: train"):
        data_of("ab", "train").part("val")
    with pytest.raises(DataError, match="none of the 2 images is left"):
        data_of("ab").where(lambda s: False)


def test_another_thing_that_is_known_can_be_the_group():
    data = data_of("abc")
    organs = ("lung", "liver", "lung")
    known = replace(
        data,
        samples=tuple(replace(s, about={"organ": o}) for s, o in zip(data.samples, organs, strict=True)),
    )
    assert [s.group for s in known.grouped_by("organ").samples] == list(organs)
    assert known.grouped_by("") is known
    with pytest.raises(DataError, match=r"cannot be grouped by 'grade'.*organ"):
        known.grouped_by("grade")
