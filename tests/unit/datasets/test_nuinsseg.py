from pathlib import Path

import numpy as np
import pytest

from sac_wsi.datasets.check import check_dataset
from sac_wsi.datasets.layouts import open_layout
from sac_wsi.datasets.nuinsseg import MPP, open_nuinsseg, organ_of
from sac_wsi.datasets.split import split_by_names
from sac_wsi.errors import DataError
from sac_wsi.testing.datasets import picture, save, two_squares

REAL = Path(__file__).resolve().parents[4] / "shared/data/nuinsseg"


@pytest.fixture
def published(tmp_path):
    for seed, name in enumerate(("human_liver_01", "human_liver_02", "mouse_muscle_tibia_01")):
        folder = tmp_path / name.rsplit("_", 1)[0].replace("_", " ")
        for part in ("tissue images", "label masks", "mask binary"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        save(folder / "tissue images" / f"{name}.png", picture(seed))
        save(folder / "label masks" / f"{name}.tif", two_squares())
    return tmp_path


def test_the_published_layout(published):
    data = open_layout("nuinsseg", published)
    assert [(s.name, s.group, s.mpp) for s in data.samples] == [
        ("human_liver_01", "human liver", MPP),
        ("human_liver_02", "human liver", MPP),
        ("mouse_muscle_tibia_01", "mouse muscle tibia", MPP),
    ]
    assert data.samples[2].about == {"species": "mouse", "organ": "mouse muscle tibia"}
    rgb, labels = data.read(2)
    assert np.array_equal(rgb, picture(2))
    assert np.array_equal(labels, two_squares())
    assert data.licence == "CC-BY-4.0"


def test_two_folders(published):
    folder = published / "human liver"
    data = open_layout("nuinsseg", folder / "tissue images", folder / "label masks")
    assert [s.name for s in data.samples] == ["human_liver_01", "human_liver_02"]


def test_an_image_without_labels(published):
    (published / "human liver" / "label masks" / "human_liver_02.tif").unlink()
    with pytest.raises(DataError, match=r"human_liver_02.png has no annotation"):
        open_nuinsseg(published)
    assert len(open_nuinsseg(published, allow_missing=True)) == 2


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(DataError, match="together with --labels DIR"):
        open_nuinsseg(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        open_nuinsseg(tmp_path / "none")


@pytest.mark.parametrize("name", ["liver_01", "human_01", "human_liver", "rat_liver_01"])
def test_other_file_names_are_refused(name):
    with pytest.raises(DataError, match="human_ORGAN_NUMBER"):
        organ_of(name)


def test_organs_to_validate_on_and_to_leave_out(published):
    data = open_nuinsseg(published)
    assert [s.split for s in split_by_names(data, ["human liver"]).samples] == ["val", "val", "train"]
    assert {s.group for s in split_by_names(data, without=["mouse *"]).samples} == {"human liver"}
    with pytest.raises(DataError, match=r"no group 'human livr'. Did you mean 'human liver'"):
        split_by_names(data, ["human livr"])


@pytest.mark.skipif(not REAL.is_dir(), reason="the real images are not here")
def test_the_real_ones():
    data = open_layout("nuinsseg", REAL / "images", REAL / "labels")
    assert (len(data), len({s.group for s in data.samples})) == (665, 31)
    some = data.where(lambda sample: sample.group == "mouse femur")
    report = check_dataset(some)
    assert report.ok
    assert len(some) == 6
