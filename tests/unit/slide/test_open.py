"""Bad files are refused at once, with one line that says what to do."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from sac_wsi.errors import SlideError
from sac_wsi.slide.open import open_slide
from sac_wsi.slide.readers import openslide_reader
from sac_wsi.slide.resolution.mpp import require_mpp

Make = Callable[..., Path]


def refusal(path: Path | str, **options: float) -> str:
    with pytest.raises(SlideError) as caught:
        open_slide(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == 2
    return message


def test_missing_and_non_files(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.svs")
    assert "does not exist" in refusal(tmp_path / "new\nline.svs")
    assert "without a DICOM slide" in refusal(tmp_path)
    os.mkfifo(tmp_path / "fifo.svs")
    assert "FIFO" in refusal(tmp_path / "fifo.svs")
    assert "device" in refusal("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "cannot be read" in refusal(tmp_path / "loop")
    assert "cannot be read" in refusal(tmp_path / ("x" * 300))


@pytest.mark.parametrize(
    "content", [b"", b"12345678", b"II*\0\x08\0\0\0", b"\x89PNG\r\n\x1a\n", b"BM", b"\xff\xd8\xff"]
)
@pytest.mark.parametrize("suffix", [".svs", ".tiff", ".png", ".ndpi", ".mrxs", ".dcm"])
def test_fragments_of_files(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    assert path.name in refusal(path)


def test_a_truncated_directory_at_the_end(make_slide: Make) -> None:
    path = make_slide()
    data = bytearray(path.read_bytes())
    directory = struct.unpack_from("<I", data, 4)[0]
    moved = data + data[directory:]  # a second copy of the directory, at the end
    struct.pack_into("<I", moved, 4, len(data))
    for kept in (len(moved) - len(data[directory:]) + 1, len(data) // 2):
        path.write_bytes(moved[:kept])
        refusal(path)


def test_a_directory_loop_ends(make_slide: Make) -> None:
    path = make_slide()
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages.first.offset
    data = bytearray(path.read_bytes())
    count = struct.unpack_from("<H", data, start)[0]
    struct.pack_into("<I", data, start + 2 + 12 * count, start)
    path.write_bytes(data)
    assert "loop" in refusal(path)


def test_absurd_size(make_slide: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openslide_reader, "MAX_PIXELS", 100_000)
    assert "claims 300 x 410 pixels, the limit is 1e+05" in refusal(make_slide())


def test_size_zero(make_slide: Make) -> None:
    path = make_slide()
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for name in ("ImageWidth", "ImageLength"):
            tiff.pages.first.tags[name].overwrite(0)
    refusal(path)


@pytest.mark.parametrize("lost", [1, 2, 100, 20_000])
@pytest.mark.parametrize("shrink", [(1,), (1, 2, 4)])
def test_cut_at_the_end_is_refused(make_slide: Make, lost: int, shrink: tuple[int, ...]) -> None:
    path = make_slide(shrink=shrink)
    path.write_bytes(path.read_bytes()[:-lost])
    assert "truncated" in refusal(path)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_deep_pixels_are_refused_with_the_reason(tmp_path: Path, dtype: type) -> None:
    tifffile.imwrite(tmp_path / "a.tiff", np.zeros((256, 256, 3), dtype), tile=(128, 128), photometric="rgb")
    message = refusal(tmp_path / "a.tiff")
    assert "bits per sample" in message
    assert "fluorescence" in message


def test_a_slide_without_resolution_opens_and_says_where_it_looked(make_slide: Make) -> None:
    path = make_slide("A12.tiff", mpp=None)
    with open_slide(path) as slide:
        info = slide.info
    assert info.mpp is None
    with pytest.raises(SlideError) as caught:
        require_mpp(info)
    message = str(caught.value)
    assert message.startswith("A12.tiff has no microns per pixel (looked in openslide.mpp-x = 352.8 µm, ")
    assert message.endswith("Pass --mpp 0.25 (40x is usually 0.25, 20x 0.5).")
    with open_slide(path, mpp=0.5) as slide:
        assert require_mpp(slide.info) == 0.5
    assert "--mpp 352.8" in refusal(path, mpp=352.8)


@pytest.mark.parametrize("name", ["-rf.tiff", "a\nb.tiff", "µ ü.tiff"])
def test_odd_names_open(make_slide: Make, name: str) -> None:
    with open_slide(make_slide(name)) as slide:
        assert slide.info.to_json()["reader"] == "openslide"


def test_no_patient_data_is_kept(make_slide: Make, caplog: pytest.LogCaptureFixture) -> None:
    text = "Aperio Image Library v1\n410x300 (64x64)|MPP = {}|Patient = CANARY|Filename = CANARY"
    good = make_slide("good.svs", description=text.format("0.25"), mpp=None)
    with open_slide(good) as slide:
        assert slide.info.vendor == "aperio"
        assert slide.info.mpp == 0.25
        assert "CANARY" not in f"{slide.info}{slide.info.to_json()}"
    bad = make_slide("bad.svs", description=text.format("CANARY"), mpp=None)
    with open_slide(bad) as slide:
        info = slide.info
    assert "CANARY" not in f"{info}"
    with pytest.raises(SlideError) as caught:
        require_mpp(info)
    assert "CANARY" not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}{caplog.text}"
