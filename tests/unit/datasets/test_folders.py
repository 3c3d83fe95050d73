from pathlib import Path

import numpy as np
import pytest
import tifffile

from sac_wsi.datasets.folders import open_folders, open_tnbc
from sac_wsi.errors import DataError
from sac_wsi.testing.datasets import make_folders, picture, save, two_squares

TNBC = Path(__file__).resolve().parents[4] / "shared/data/tnbc"
LARGE = two_squares(ids=(70_000, 2_000_000))


def test_pairs_by_stem_and_groups_by_pattern(tmp_path):
    images, labels = make_folders(tmp_path, ["01_1", "01_2", "02_1"])
    data = open_folders(images, labels, mpp=0.5, group_pattern=r"^(\d+)_")
    assert [(s.name, s.group, s.mpp) for s in data.samples] == [
        ("01_1", "01", 0.5),
        ("01_2", "01", 0.5),
        ("02_1", "02", 0.5),
    ]
    assert np.array_equal(data.read(1)[0], picture(1))
    assert np.array_equal(data.read(1)[1], two_squares())
    assert open_folders(images, labels).samples[0].group == "01_1"


@pytest.mark.parametrize("suffix", ["npy", "tif"])
@pytest.mark.parametrize("dtype", [np.uint32, np.int32, np.int64])
def test_ids_above_65535(tmp_path, suffix, dtype):
    images, labels = make_folders(tmp_path, ["a"])
    (labels / "a.png").unlink()
    write = tifffile.imwrite if suffix == "tif" else np.save
    write(labels / f"a.{suffix}", LARGE.astype(dtype))
    assert np.array_equal(open_folders(images, labels).read(0)[1], LARGE)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (LARGE.astype(np.float32), "float32 pixels"),
        (-LARGE, "labels from -2000000 to 0"),
        (LARGE.astype(np.int64) * 5000, "labels from 0 to 10000000000.* 1 to 2147483647"),
        (np.stack([LARGE] * 3), "shape 3 x "),
        (np.zeros((0, 5), np.uint8), "shape 0 x 5"),
        (np.array([{}]), "cannot be read as a label image"),
    ],
)
def test_what_is_no_label_map_is_refused(tmp_path, array, message):
    images, labels = make_folders(tmp_path, ["a"])
    (labels / "a.png").unlink()
    np.save(labels / "a.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=message) as caught:
        open_folders(images, labels).read(0)
    assert "a.npy" in str(caught.value)


@pytest.mark.parametrize("suffix", ["npy", "tif", "png"])
def test_a_label_file_that_is_damaged(tmp_path, suffix):
    images, labels = make_folders(tmp_path, ["a"])
    (labels / "a.png").unlink()
    (labels / f"a.{suffix}").write_bytes(b"\x93NUMPY nothing of the kind")
    with pytest.raises(DataError, match=f"a.{suffix}"):
        open_folders(images, labels).read(0)


def test_a_colour_picture_is_no_label_map(tmp_path):
    images, labels = make_folders(tmp_path, ["a"])
    save(labels / "a.png", picture(0))
    with pytest.raises(DataError, match="RGB pixels, needed .* one whole number per pixel"):
        open_folders(images, labels).read(0)


def test_an_image_of_16_bits_is_refused_and_transparency_is_white(tmp_path):
    images, labels = make_folders(tmp_path, ["a", "b"])
    save(images / "a.png", two_squares().astype(np.uint16))
    save(images / "b.png", np.zeros((48, 64, 4), np.uint8))
    data = open_folders(images, labels)
    with pytest.raises(DataError, match="mode I;16. Needed 8 bits"):
        data.read(0)
    assert (data.read(1)[0] == 255).all()


def test_two_files_of_one_stem(tmp_path):
    images, labels = make_folders(tmp_path, ["a"])
    save(images / "a.jpg", picture(0))
    with pytest.raises(DataError, match=r"both a.jpg and a.png"):
        open_folders(images, labels)


def test_labels_without_image_and_a_pattern_that_does_not_fit(tmp_path):
    images, labels = make_folders(tmp_path, ["a", "b"])
    with pytest.raises(DataError, match="finds nothing in 'a'"):
        open_folders(images, labels, group_pattern=r"\d+")
    with pytest.raises(DataError, match="not a regular expression"):
        open_folders(images, labels, group_pattern="(")
    (images / "a.png").unlink()
    with pytest.raises(DataError, match="a.png has no image"):
        open_folders(images, labels)


def test_readers_need_no_tifffile(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    images, labels = make_folders(tmp_path, ["a"])
    assert open_folders(images, labels).read(0)[1].any()
    (labels / "a.png").rename(labels / "a.tif")
    with pytest.raises(DataError, match="pip install tifffile"):
        open_folders(images, labels).read(0)


@pytest.mark.skipif(not TNBC.is_dir(), reason="TNBC is not here")
def test_the_real_images():
    data = open_tnbc(TNBC / "images", TNBC / "labels")
    assert (len(data), len({s.group for s in data.samples})) == (50, 11)
    assert sum(len(np.unique(data.read(i)[1])) - 1 for i in range(50)) == 4028
