"""Reading through OpenSlide: geometry, bounds, damage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from sac_wsi.errors import ReadError, SlideError
from sac_wsi.geometry import Box
from sac_wsi.slide.open import open_slide
from sac_wsi.slide.protocol import Level
from sac_wsi.slide.readers.openslide_levels import cropped_levels, scan_box

Make = Callable[..., Path]
WSI = Path(__file__).resolve().parents[5] / "shared/data/wsi"
needs_wsi = pytest.mark.skipif(not WSI.is_dir(), reason="shared/data/wsi is not here")


def test_info(make_slide: Make) -> None:
    with open_slide(make_slide(shrink=(1, 2))) as slide:
        info = slide.info
    assert (info.reader, info.vendor, info.shape_yx) == ("openslide", "generic-tiff", (300, 410))
    assert info.levels == (Level((300, 410), 1.0), Level((150, 205), 2.0))
    assert info.tile_yx == ((64, 64), (64, 64))
    assert (info.mpp, info.mpp_source) == (pytest.approx(0.25), "openslide.mpp-x")


def test_pixels_are_those_written_and_white_outside(make_slide: Make, picture: np.ndarray) -> None:
    with open_slide(make_slide()) as slide:
        rgb = slide.read_level(0, Box(-7, -9, 310, 420))
        assert (slide.read_level(0, Box(1000, 0, 1010, 10)) == 255).all()
        assert slide.read_level(0, Box(5, 5, 5, 9)).shape == (0, 4, 3)
    assert np.abs(rgb[7:307, 9:419].astype(int) - picture).max() < 12
    for white in (rgb[:7], rgb[307:], rgb[:, :9], rgb[:, 419:]):
        assert (white == 255).all()


@pytest.mark.parametrize("level", [1, 2])
def test_a_pixel_does_not_depend_on_the_box_where_downsamples_are_odd(make_slide: Make, level: int) -> None:
    with open_slide(make_slide(shape=(601, 1203), shrink=(1, 2, 4))) as slide:
        of_level = slide.info.levels[level]
        assert of_level.downsample != round(of_level.downsample)
        whole_box = Box.of_shape(of_level.shape_yx)
        whole = slide.read_level(level, whole_box)
        for part in (Box(1, 3, 40, 60), Box(13, 100, 14, 300), Box(140, 250, 150, 300)):
            np.testing.assert_array_equal(slide.read_level(level, part), whole[part.within(whole_box)])


def test_a_corrupt_tile_fails_alone(make_slide: Make, picture: np.ndarray) -> None:
    path = make_slide()
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages.first.dataoffsets[3]
    data = bytearray(path.read_bytes())
    data[start : start + 20] = bytes(20)
    path.write_bytes(data)
    with open_slide(path) as slide:
        for _ in range(2):
            with pytest.raises(ReadError, match=r"a\.tiff: level 0, y 0\.\.64, x 0\.\.410 could not be read"):
                slide.read_level(0, Box(0, 0, 64, 410))
            after = slide.read_level(0, Box(64, 0, 300, 410))
            assert np.abs(after.astype(int) - picture[64:]).max() < 12


def test_a_file_that_vanished_is_a_read_error(make_slide: Make) -> None:
    path = make_slide(shape=(3000, 64))
    with open_slide(path) as slide:
        path.write_bytes(b"")
        with pytest.raises(ReadError):
            slide.read_level(0, Box(2000, 0, 3000, 64))


@pytest.fixture
def scn(tmp_path: Path, jpeg_tiles: Callable[..., list[bytes]], picture: np.ndarray) -> Path:
    """A Leica slide: 64 x 128 pixels scanned at (200, 300) of an otherwise empty 2000 x 4000."""
    description = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        '<collection name="c" uuid="u" sizeX="2000000" sizeY="1000000"><image name="i" uuid="v">'
        '<pixels sizeX="128" sizeY="64"><dimension sizeX="128" sizeY="64" r="0" ifd="0"/></pixels>'
        '<view sizeX="64000" sizeY="32000" offsetX="150000" offsetY="100000" spacingZ="0"/>'
        "<scanSettings><objectiveSettings><objective>20</objective></objectiveSettings>"
        "<illuminationSettings><numericalAperture>0.4</numericalAperture>"
        "<illuminationSource>brightfield</illuminationSource></illuminationSettings></scanSettings>"
        "</image></collection></scn>"
    )
    rgb = np.ascontiguousarray(picture[:64, :128])
    with tifffile.TiffWriter(tmp_path / "a.scn", bigtiff=True) as tiff:
        tiff.write(
            iter(jpeg_tiles(rgb, 64)),
            shape=rgb.shape,
            dtype=np.uint8,
            tile=(64, 64),
            compression="jpeg",
            photometric="ycbcr",
            subsampling=(1, 1),
            description=description,
            metadata=None,
        )
    return tmp_path / "a.scn"


def test_the_crop_to_bounds(scn: Path, picture: np.ndarray) -> None:
    with open_slide(scn, mpp=0.5) as slide:
        assert slide.info.origin_yx == (200, 300)
        assert slide.info.shape_yx == (64, 128)
        rgb = slide.read_level(0, Box(0, 0, 70, 128))
    assert np.abs(rgb[:64].astype(int) - picture[:64, :128]).max() < 12
    assert (rgb[64:] == 255).all()


def test_nonsense_bounds_mean_the_whole_image() -> None:
    whole = Box(0, 0, 50, 100)
    names = ("y", "x", "height", "width")
    for values in (
        ("0", "0", "0", "0"),
        ("-1", "0", "5", "5"),
        ("nan", "0", "5", "5"),
        ("60", "0", "5", "5"),
    ):
        bounds = {f"openslide.bounds-{n}": v for n, v in zip(names, values, strict=True)}
        assert scan_box(bounds, (100, 50)) == whole
    assert scan_box(
        {f"openslide.bounds-{n}": v for n, v in zip(names, "5678", strict=True)}, (100, 50)
    ) == Box(5, 6, 12, 14)


def test_levels_are_cut_with_the_scan() -> None:
    levels = cropped_levels(Box(10, 20, 61, 91), [(400, 200), (100, 50)], [1.0, 4.0])
    assert levels == (Level((51, 71), 1.0), Level((12, 17), 4.0))


@needs_wsi
def test_real_files() -> None:
    with open_slide(WSI / "CMU-1-Small-Region.svs") as slide:
        assert (slide.info.vendor, slide.info.mpp, slide.info.objective) == ("aperio", 0.499, 20.0)
        assert 100 < slide.read_level(0, Box(500, 500, 756, 756)).mean() < 250
    with open_slide(WSI / "osp_boxes.tiff") as slide:
        assert slide.info.mpp is None
        assert len(slide.info.levels) == 4


@needs_wsi
def test_dicom_by_file_and_by_folder(tmp_path: Path) -> None:
    for i in (0, 1):
        shutil.copy(WSI / f"osp_boxes_{i}.dcm", tmp_path)
    with open_slide(tmp_path) as folder, open_slide(tmp_path / "osp_boxes_1.dcm") as file:
        assert folder.info.vendor == "dicom"
        assert folder.info.mpp == 0.499
        assert folder.info.fingerprint == file.info.fingerprint
        box = Box.of_shape(folder.info.shape_yx)
        np.testing.assert_array_equal(folder.read_level(0, box), file.read_level(0, box))
    (tmp_path / "osp_boxes_1.dcm").unlink()
    with open_slide(tmp_path) as alone:
        assert alone.info.fingerprint != folder.info.fingerprint


@needs_wsi
def test_two_dicom_series_in_a_folder_are_refused(tmp_path: Path) -> None:
    data = (WSI / "osp_boxes_0.dcm").read_bytes()
    uid = b"1.3.6.1.4.1.5962.99.1.1747645553.419656796.1689669825649.4.0"
    (tmp_path / "a.dcm").write_bytes(data)
    (tmp_path / "b.dcm").write_bytes(data.replace(uid, uid[:-3] + b"5.0"))
    with pytest.raises(SlideError, match="more than one DICOM series"):
        open_slide(tmp_path)
    with open_slide(tmp_path / "a.dcm") as slide:
        assert slide.info.vendor == "dicom"


@needs_wsi
def test_dicom_without_its_base_is_refused(tmp_path: Path) -> None:
    data = (WSI / "osp_boxes_0.dcm").read_bytes()
    none, resampled = b"DERIVED\\PRIMARY\\VOLUME\\NONE", b"DERIVED\\PRIMARY\\VOLUME\\RESAMPLED"
    at = data.index(none) - 2
    length = len(resampled) + len(resampled) % 2
    image_type = length.to_bytes(2, "little") + resampled.ljust(length)
    (tmp_path / "a.dcm").write_bytes(data[:at] + image_type + data[at + 2 + len(none) + len(none) % 2 :])
    with pytest.raises(SlideError, match="full-resolution instance"):
        open_slide(tmp_path / "a.dcm")
