"""Formats that only TIAToolbox opens, and the message where it is not installed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from sac_wsi.errors import SlideError
from sac_wsi.geometry import Box
from sac_wsi.slide.open import open_slide

if TYPE_CHECKING:
    from pathlib import Path


def _jp2(path: Path) -> np.ndarray:
    rgb = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    Image.fromarray(rgb).save(path, irreversible=False)
    return rgb


def test_without_it_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tiatoolbox.wsicore.wsireader", None)
    _jp2(tmp_path / "a.jp2")
    with pytest.raises(SlideError, match=r'pip install "sac-wsi\[tiatoolbox\]"'):
        open_slide(tmp_path / "a.jp2")


def test_jp2(tmp_path: Path) -> None:
    pytest.importorskip("tiatoolbox")
    if pytest.importorskip("glymur").version.openjpeg_version == "0.0.0":
        pytest.skip("the library OpenJPEG is not installed")
    rgb = _jp2(tmp_path / "a.jp2")
    with open_slide(tmp_path / "a.jp2", mpp=0.25) as slide:
        assert (slide.info.reader, slide.info.shape_yx) == ("tiatoolbox", (300, 400))
        read = slide.read_level(0, Box(-2, 10, 310, 410))
    np.testing.assert_array_equal(read[2:302, :390], rgb[:, 10:])
    assert (read[:2] == 255).all()
    assert (read[:, 390:] == 255).all()


def test_fragments_of_files_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("tiatoolbox")
    (tmp_path / "a.jp2").write_bytes(b"12345678")
    (tmp_path / "a.zarr").mkdir()
    for name in ("a.jp2", "a.zarr"):
        with pytest.raises(SlideError, match="not a slide that OpenSlide"):
            open_slide(tmp_path / name)
