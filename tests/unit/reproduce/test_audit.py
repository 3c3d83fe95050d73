import numpy as np
import pytest

from sac_wsi.datasets.check import check_dataset
from sac_wsi.datasets.sample import DataSet, Sample
from sac_wsi.reproduce.audit import SplitAudit, audit_from_report


def sample(name, split, rgb, group):
    labels = np.zeros(rgb.shape[:2], np.int32)
    labels[4:20, 4:20] = 1
    return Sample(name, group, lambda: rgb, lambda _: labels, split=split)


@pytest.fixture
def report():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(5)]
    parts = ("train", "train", "val", "testA", "testB")
    samples = [sample(f"{i}", part, images[i], f"g{i}") for i, part in enumerate(parts)]
    samples.append(sample("again", "testB", images[0], "g1"))
    return check_dataset(DataSet("glas", tuple(samples), "folder"))


def test_from_what_data_check_finds(report):
    found = audit_from_report("glas", report, "folder", note="a sample")
    assert (found.train, found.val, found.test) == (2, 1, 3)
    assert len(found.duplicates) == 1
    assert "again" in found.duplicates[0]
    assert found.groups == ("g1: stands in testB, train",)
    lines = list(found.lines())
    assert lines[0] == (
        "GlaS: 2 train, 1 val, 3 test (paper: 85, none named, 80); NOT THE PAPER'S NUMBER OF IMAGES; "
        "from folder"
    )
    assert lines[1].startswith("GlaS: the same image in two parts: 1 (")
    assert lines[-1] == "GlaS: a sample"


def test_a_clean_split_says_so():
    found = SplitAudit("monuseg", "x", train=24, val=6, test=14)
    assert found.as_paper
    assert list(found.lines()) == [
        "MoNuSeg: 24 train, 6 val, 14 test (paper: 30, none named, 14); from x",
        "MoNuSeg: the same image in two parts: none",
    ]
    assert SplitAudit("dsb", "x", train=536, val=67, test=67).as_paper


def test_many_findings_are_named_in_part():
    found = SplitAudit("dsb", "x", 536, 67, 67, duplicates=tuple(f"image {i}" for i in range(9)))
    assert list(found.lines())[1].endswith("9 (image 0; image 1; image 2; image 3; image 4 and 4 more)")
