"""The hash depends on content, and on names only where there are several."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sac_wsi.errors import SlideError
from sac_wsi.slide.fingerprint import fingerprint
from sac_wsi.slide.readers.members import mirax_files, vms_files

if TYPE_CHECKING:
    from pathlib import Path


def test_name_place_and_time_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a", "sub/b"):
        (tmp_path / name).write_bytes(b"x" * 100)
    os.utime(tmp_path / "a", (0, 0))
    assert fingerprint([tmp_path / "a"]) == fingerprint([tmp_path / "sub/b"])


@pytest.mark.parametrize("at", [0, 1 << 20, 5_000_000, 9_999_999])
def test_a_change_in_what_is_read_is_seen(tmp_path: Path, at: int) -> None:
    data = bytearray(10_000_000)
    (tmp_path / "a").write_bytes(data)
    before = fingerprint([tmp_path / "a"])
    block = 65536
    data[at : at + 10 * block] = b"\1" * len(data[at : at + 10 * block])
    (tmp_path / "a").write_bytes(data)
    assert fingerprint([tmp_path / "a"]) != before


def test_size_counts(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\0" * 10)
    (tmp_path / "b").write_bytes(b"\0" * 11)
    assert fingerprint([tmp_path / "a"]) != fingerprint([tmp_path / "b"])


def _mirax(folder: Path) -> Path:
    data = folder / "s"
    data.mkdir()
    (folder / "s.mrxs").write_bytes(b"\xff\xd8")
    (data / "Slidedat.ini").write_text(
        "[HIERARCHICAL]\nINDEXFILE = Index.dat\n"
        "[DATAFILE]\nFILE_COUNT = 2\nFILE_0 = D0.dat\nFILE_1 = D1.dat\n",
        encoding="utf-8-sig",
    )
    for name in ("Index.dat", "D0.dat", "D1.dat"):
        (data / name).write_bytes(name.encode())
    return folder / "s.mrxs"


def test_mirax_counts_every_file_whatever_the_order(tmp_path: Path) -> None:
    files = mirax_files(_mirax(tmp_path))
    assert len(files) == 5
    before = fingerprint(files)
    assert fingerprint(files[::-1]) == before
    (tmp_path / "s/D1.dat").write_bytes(b"other")
    assert fingerprint(files) != before


def test_mirax_counts_the_missing_files_and_quotes_no_name(tmp_path: Path) -> None:
    path = _mirax(tmp_path)
    (tmp_path / "s/D1.dat").unlink()
    with pytest.raises(SlideError, match=r"misses 1 of the data files") as refused:
        mirax_files(path)
    assert "D1" not in str(refused.value)


def test_mirax_without_its_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "s.mrxs").write_bytes(b"\xff\xd8")
    with pytest.raises(SlideError, match=r"folder s/"):
        mirax_files(tmp_path / "s.mrxs")


def test_vms_names_its_images(tmp_path: Path) -> None:
    (tmp_path / "a.vms").write_text("[Virtual Microscope Specimen]\nImageFile(0,0)=a.jpg\nMapFile=../b.jpg\n")
    for name in ("a.jpg", "other.jpg"):
        (tmp_path / name).write_bytes(b"x")
    assert vms_files(tmp_path / "a.vms") == [tmp_path / "a.vms", tmp_path / "a.jpg"]
