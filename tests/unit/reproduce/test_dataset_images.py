import pytest

from sac_wsi.reproduce.dataset_images import audit_split, open_dataset_images
from sac_wsi.reproduce.inputs import Place
from sac_wsi.testing.datasets import make_dsb, make_folders, make_glas
from sac_wsi.train.config import DataSettings


@pytest.fixture
def monuseg(tmp_path):
    return make_folders(tmp_path / "train", [f"image{i}" for i in range(5)])


def opened(images, labels=None, test=None, kind="monuseg", **more):
    settings = DataSettings(kind=kind, images=str(images), labels=str(labels or ""), **more)
    return open_dataset_images(kind, settings, 0.25, 64, test)


def names(images):
    return [images.name(i) for i in range(len(images))]


def test_test_images_are_not_used_for_training_and_are_audited_with_the_others(monuseg, tmp_path):
    """Two of the three have the pixels of images that are used for training or validation."""
    images, labels = make_folders(tmp_path / "test", ["a", "b"])
    found = opened(*monuseg, Place(images, labels))
    assert names(found.tested) == ["a", "b"]
    split = audit_split(found)
    assert (split.train, split.val, split.test) == (4, 1, 2)
    assert len(split.duplicates) == 2
    assert not split.note
    assert "train" in split.source
    assert "test" in split.source


def test_a_test_image_may_have_the_name_of_a_training_image(monuseg, tmp_path):
    found = opened(*monuseg, Place(*make_folders(tmp_path / "test", ["image1"])))
    assert audit_split(found).duplicates == ("image0: the same pixels as image1 (test) (train, test)",)


def test_without_test_images_those_that_are_validated_on_are_scored(monuseg):
    found = opened(*monuseg)
    split = audit_split(found)
    assert (split.train, split.val, split.test) == (4, 1, 0)
    assert "scored on the validation images" in split.note
    assert "--test monuseg=IMAGES" in split.note
    assert names(found.tested) == names(found.source.part("val"))


def test_glas_has_two_test_parts(tmp_path):
    names_there = ("train_1", "train_2", "train_3", "testA_1", "testB_1")
    found = opened(make_glas(tmp_path, names_there), kind="glas")
    assert names(found.tested) == ["testA_1", "testB_1"]
    assert audit_split(found).test == 2


def test_dsb_is_split_at_random(tmp_path):
    found = opened(make_dsb(tmp_path, [f"id{i}" for i in range(10)]), kind="dsb")
    split = audit_split(found)
    assert (split.train, split.val, split.test) == (8, 1, 1)
    assert not set(names(found.tested)) & set(names(found.source.part("train")))


def test_images_that_are_made_are_not_audited():
    found = open_dataset_images("glas", DataSettings(count=8, side_px=64), 1.0, 64, None)
    assert len(found.tested) == 2
    assert audit_split(found) is None
