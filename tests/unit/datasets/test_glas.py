from pathlib import Path

import numpy as np
import pytest

from sac_wsi.datasets.glas import open_glas, read_grades
from sac_wsi.errors import DataError
from sac_wsi.testing.datasets import picture, save, two_squares

GLAS = Path(__file__).resolve().parents[4] / "shared/data/glas_sample"
GRADES = (
    "name,patient ID, grade (GlaS), grade (S)\rtrain_1,2, malignant, poorly\rtestA_1,4, benign, healthy\r"
)


@pytest.fixture
def layout(tmp_path):
    for seed, name in enumerate(("train_1", "testA_1", "testB_1")):
        save(tmp_path / f"{name}.bmp", picture(seed))
        save(tmp_path / f"{name}_anno.bmp", two_squares().astype(np.uint8))
    return tmp_path


def test_the_parts_are_in_the_names(layout):
    data = open_glas(layout)
    assert [(s.name, s.split, s.group) for s in data.samples] == [
        ("testA_1", "testA", "testA_1"),
        ("testB_1", "testB", "testB_1"),
        ("train_1", "train", "train_1"),
    ]
    rgb, labels = data.part("train").read(0)
    assert np.array_equal(rgb, picture(0))
    assert np.array_equal(labels, two_squares())


@pytest.mark.parametrize("line_end", ["\r", "\n", "\r\n"])
def test_grades_and_patients_of_grade_csv(layout, line_end):
    (layout / "Grade.csv").write_bytes(GRADES.replace("\r", line_end).encode())
    sample = open_glas(layout).part("train").samples[0]
    assert sample.group == "patient 2"
    assert sample.about == {"patient": "2", "grade": "malignant", "fine_grade": "poorly"}


@pytest.mark.parametrize("text", ["", "a,b\n", "name,patient,grade,fine\ntrain_1,2\n"])
def test_a_broken_table_of_grades(tmp_path, text):
    (tmp_path / "Grade.csv").write_text(text)
    with pytest.raises(DataError, match="has a line"):
        read_grades(tmp_path / "Grade.csv")


def test_an_image_without_annotation(layout):
    (layout / "train_1_anno.bmp").unlink()
    with pytest.raises(DataError, match="train_1.bmp has no annotation"):
        open_glas(layout)


def test_different_sizes_are_an_error(layout):
    save(layout / "train_1_anno.bmp", two_squares((48, 60)).astype(np.uint8))
    with pytest.raises(DataError, match=r"train_1: the image is 64 x 48 px, its labels are 60 x 48 px"):
        open_glas(layout).part("train").read(0)


@pytest.mark.skipif(not GLAS.is_dir(), reason="GlaS is not here")
def test_the_real_images():
    data = open_glas(GLAS)
    assert [s.split for s in data.samples] == ["testA", "testB", *["train"] * 4]
    assert data.samples[0].about["grade"] == "benign"
    assert sum(len(np.unique(data.read(i)[1])) - 1 for i in range(6)) == 49
