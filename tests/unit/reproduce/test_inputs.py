from pathlib import Path

import pytest
import torch

from sac_wsi.errors import CheckpointError, RequestError
from sac_wsi.model.nets.sam import build_sam
from sac_wsi.reproduce.inputs import Inputs, Place, places, sam_files


@pytest.fixture
def folders(tmp_path, monkeypatch):
    for name in ("images", "labels", "with,comma"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_where_sets_lie(folders):
    found = places("--data", ["monuseg=images,labels", "dsb=images", "glas=with,comma"])
    assert found == {
        "monuseg": Place(folders / "images", folders / "labels"),
        "dsb": Place(folders / "images"),
        "glas": Place(folders / "with,comma"),
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["images"], r"--data images: needed SET=IMAGES\[,LABELS\]"),
        (["monuseg="], "needed SET=IMAGES"),
        (["monseg=images"], r"there is no set 'monseg'. Did you mean monuseg\?"),
        (["tnbc=images"], "There are: monuseg, dsb, glas."),
        (["monuseg=nowhere"], "nowhere does not exist"),
        (["monuseg=images,nowhere"], "nowhere does not exist"),
        (["monuseg=images,"], "labels after the comma are missing"),
        (["dsb=images", "dsb=labels"], "names dsb twice"),
    ],
)
def test_sets_that_are_none(folders, words, message):
    with pytest.raises(RequestError, match=message):
        places("--data", words)


def test_a_test_part_needs_something_to_learn_from():
    place = Place(Path("x"))
    with pytest.raises(RequestError, match="--test dsb stands alone"):
        Inputs(data={"monuseg": place}, test={"dsb": place})


def test_files_of_sam_are_known_by_what_is_in_them(tmp_path, monkeypatch):
    monkeypatch.setattr("sac_wsi.reproduce.inputs.SAM_ENCODERS", ("vit_nano",))
    for name in ("a.pth", "b.pth"):
        torch.save(build_sam("vit_nano", 64).state_dict(), tmp_path / name)
    assert sam_files([tmp_path / "a.pth"]) == {"vit_nano": tmp_path / "a.pth"}
    with pytest.raises(RequestError, match=r"a\.pth and .*b\.pth both hold vit_nano"):
        sam_files([tmp_path / "a.pth", tmp_path / "b.pth"])
    monkeypatch.undo()
    with pytest.raises(RequestError, match=r"a\.pth holds vit_nano; needed SAM's own vit_b, vit_l, vit_h"):
        sam_files([tmp_path / "a.pth"])


def test_files_that_are_none(tmp_path):
    (tmp_path / "text.pth").write_text("hello")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    for name in ("text.pth", "other.pth", "nowhere.pth"):
        with pytest.raises(CheckpointError, match=name):
            sam_files([tmp_path / name])
