import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sac_wsi.datasets.dsb import is_stained, open_dsb, stained_only
from sac_wsi.datasets.image_type import image_type_of
from sac_wsi.errors import DataError
from sac_wsi.testing.datasets import make_dsb, picture, save, two_squares

ARCHIVE = Path(__file__).resolve().parents[4] / "shared/data/dsb2018/stage1_train.zip"
NAMES = [f"{i:02}" for i in range(20)]


def zipped(folder, path, prefix=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, prefix + file.relative_to(folder).as_posix())
    return path


@pytest.mark.parametrize("prefix", ["", "stage1_train/"])
def test_folder_and_zip_are_the_same(tmp_path, prefix):
    folder = make_dsb(tmp_path / "dsb", NAMES)
    from_folder = open_dsb(folder)
    from_zip = open_dsb(zipped(folder, tmp_path / "a.zip", prefix))
    assert [(s.name, s.split) for s in from_folder.samples] == [(s.name, s.split) for s in from_zip.samples]
    for (rgb, labels), (other, theirs) in zip(
        map(from_folder.read, range(3)), map(from_zip.read, range(3)), strict=True
    ):
        assert np.array_equal(rgb, other)
        assert np.array_equal(labels, theirs)
        assert np.array_equal(labels, two_squares())


def test_eight_in_ten_to_learn_from(tmp_path):
    data = open_dsb(make_dsb(tmp_path, NAMES))
    assert Counter(s.split for s in data.samples) == {"train": 16, "val": 2, "test": 2}
    other = open_dsb(tmp_path, seed=1)
    assert [s.split for s in other.samples] != [s.split for s in data.samples]


def test_where_masks_overlap_the_first_by_name_keeps_the_pixel(tmp_path):
    make_dsb(tmp_path, ["a"])
    save(tmp_path / "a/masks/m0.png", np.full((48, 64), 255, np.uint8) * (two_squares() == 1))
    labels = open_dsb(tmp_path, seed=None).read(0)[1]
    assert np.unique(labels).tolist() == [0, 1, 3]
    assert (labels == 1).sum() == 64


def test_an_image_without_masks_and_masks_without_image(tmp_path):
    make_dsb(tmp_path, ["a", "b", "c"])
    (tmp_path / "a/images/a.png").unlink()
    for mask in (tmp_path / "b/masks").iterdir():
        mask.unlink()
    with pytest.raises(DataError, match="b has no masks; a has masks but no image"):
        open_dsb(tmp_path)
    assert len(open_dsb(tmp_path, seed=None, allow_missing=True)) == 1


def test_a_mask_of_another_size_is_named(tmp_path):
    make_dsb(tmp_path, ["a"])
    save(tmp_path / "a/masks/m1.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match=r"m1.png is 4 x 4 px, its image 64 x 48"):
        open_dsb(tmp_path, seed=None).read(0)


@pytest.mark.parametrize("name", ["../a/images/a.png", "/a/images/a.png", "x\\..\\..\\a/images/a.png"])
def test_a_zip_whose_names_lead_out_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(name, b"")
    with pytest.raises(DataError, match="points outside it"):
        open_dsb(tmp_path / "bad.zip")


def test_a_zip_cut_short_and_a_member_that_is_damaged(tmp_path):
    path = zipped(make_dsb(tmp_path / "dsb", ["a"]), tmp_path / "a.zip")
    data = path.read_bytes()
    (tmp_path / "cut.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"cut.zip is not a zip or is damaged"):
        open_dsb(tmp_path / "cut.zip")
    at = data.index(b"IDAT") + 6
    path.write_bytes(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
    with pytest.raises(DataError, match=r"a.png in .*a.zip is damaged"):
        open_dsb(path, seed=None).read(0)


def test_what_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"There is no .*nowhere.zip"):
        open_dsb(tmp_path / "nowhere.zip")
    with pytest.raises(DataError, match="no images of dsb2018"):
        open_dsb(tmp_path)


def test_colours_tell_how_an_image_was_made():
    spots = np.zeros((64, 64, 3), np.uint8)
    spots[20:30, 20:30] = (30, 60, 250)
    assert image_type_of(spots) == "fluorescence"
    assert not is_stained(spots)
    assert is_stained(picture(0)[..., [0, 2, 1]] // 2 + np.array([90, 40, 100], np.uint8))
    assert image_type_of(np.full((9, 9, 3), 210, np.uint8)) == "grey"


def test_only_the_stained_are_left(tmp_path):
    make_dsb(tmp_path, ["a", "b"])
    save(tmp_path / "a/images/a.png", np.zeros((48, 64, 3), np.uint8))
    assert [s.name for s in stained_only(open_dsb(tmp_path, seed=None)).samples] == ["b"]


@pytest.mark.skipif(not ARCHIVE.is_file(), reason="DSB 2018 is not here")
def test_the_real_archive():
    data = open_dsb(ARCHIVE)
    assert Counter(s.split for s in data.samples) == {"train": 483, "val": 61, "test": 60}
    rgb, labels = data.read(0)
    assert rgb.shape[:2] == labels.shape
    kinds = Counter(image_type_of(data.samples[i].read_rgb()) for i in range(0, 604, 6))
    assert kinds == {"fluorescence": 82, "stained": 17, "grey": 2}
    assert isinstance(Image.fromarray(rgb), Image.Image)
