"""Tiles decoded without OpenSlide equal its pixels, or OpenSlide reads them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from sac_wsi.errors import ReadError
from sac_wsi.geometry import Box
from sac_wsi.slide.open import open_slide
from sac_wsi.slide.readers import raw_levels
from sac_wsi.slide.readers.openslide_reader import OpenSlideSlide
from sac_wsi.slide.tiff.jpeg_index import index_levels
from sac_wsi.slide.tiff.jpeg_tiles import JpegTiles, equals_openslide

Make = Callable[..., Path]
SHAPE = (300, 410)
WSI = Path(__file__).resolve().parents[5] / "shared/data/wsi"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    raw_levels._equal.clear()
    yield
    raw_levels._equal.clear()


def read_with_openslide(path: Path, box: Box, level: int = 0) -> np.ndarray:
    with open_slide(path) as slide:
        assert isinstance(slide, OpenSlideSlide)
        return slide._read_with_retry(level, box)


def overwrite(path: Path, tile: int, *, data: bytes | None = None, count: int | None = None) -> None:
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        page = tiff.pages.first
        counts, start = list(page.databytecounts), page.dataoffsets[tile]
        if count is not None:
            counts[tile] = count
            page.tags["TileByteCounts"].overwrite(counts)
    if data is not None:
        with path.open("r+b") as file:
            file.seek(start)
            file.write(data)


def test_equal_to_openslide_and_in_use(make_slide: Make) -> None:
    path = make_slide(shrink=(1, 2))
    for level, shape in ((0, SHAPE), (1, (150, 205))):
        for box in (Box.of_shape(shape), Box(3, 5, 70, 131), Box(63, 63, 65, 65)):
            with open_slide(path) as slide:
                np.testing.assert_array_equal(
                    slide.read_level(level, box), read_with_openslide(path, box, level)
                )
    assert list(raw_levels._equal.values()) == [True, True]


@pytest.mark.skipif(not WSI.is_dir(), reason="shared/data/wsi is not here")
@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "osp_small.svs"])
def test_aperio_rgb_tiles_with_shared_tables(name: str) -> None:
    with open_slide(WSI / name) as slide:
        box = Box.of_shape(slide.info.shape_yx)
        np.testing.assert_array_equal(slide.read_level(0, box), read_with_openslide(WSI / name, box))
    assert list(raw_levels._equal.values()) == [True]


def test_any_difference_falls_back(make_slide: Make) -> None:
    path = make_slide()
    index = index_levels(path, [SHAPE])[0]
    assert index is not None

    def fails(box: Box) -> np.ndarray:
        raise ReadError("no")

    with closing(JpegTiles(path)) as tiles:
        assert equals_openslide(tiles, index, lambda box: read_with_openslide(path, box), 0)
        assert not equals_openslide(tiles, index, lambda box: read_with_openslide(path, box) ^ 1, 0)
        assert not equals_openslide(tiles, index, fails, 0)


def test_a_tile_without_bytes_is_white_as_openslide_has_it(make_slide: Make) -> None:
    path = make_slide()
    overwrite(path, 9, count=0)
    with open_slide(path) as slide:
        rgb = slide.read_level(0, Box.of_shape(SHAPE))
    assert (rgb[64:128, 128:192] == 255).all()
    np.testing.assert_array_equal(rgb, read_with_openslide(path, Box.of_shape(SHAPE)))


def test_a_count_of_four_gigabytes_is_a_read_error(make_slide: Make) -> None:
    path = make_slide()
    overwrite(path, 9, count=2**32 - 1)
    with open_slide(path) as slide:
        slide.read_level(0, Box(0, 0, 64, 64))
        with pytest.raises(ReadError):
            slide.read_level(0, Box(64, 128, 128, 192))


def test_a_huge_jpeg_in_a_small_tile_is_not_decoded(make_slide: Make) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4096, 4096)).save(buffer, "JPEG", quality=1)
    path = make_slide(shape=(2000, 2000), side=1024)
    index = index_levels(path, [(2000, 2000)])[0]
    assert index is not None
    overwrite(path, 0, data=buffer.getvalue()[: int(index.count[0])])
    with closing(JpegTiles(path)) as tiles:
        assert tiles.read(index, Box(0, 0, 10, 10)) is None
        assert tiles.read(index, Box(1100, 1100, 1110, 1110)) is not None


def test_other_tiffs_have_no_index(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tiff", np.zeros((256, 256, 3), np.uint8), tile=(64, 64), photometric="rgb")
    assert index_levels(tmp_path / "a.tiff", [(256, 256)]) == [None]
    (tmp_path / "b").write_bytes(b"none")
    assert index_levels(tmp_path / "b", [(256, 256)]) == [None]


def test_a_tile_whose_start_is_destroyed_is_a_read_error(make_slide: Make) -> None:
    path = make_slide()
    overwrite(path, 9, data=bytes(2))
    with open_slide(path) as slide, pytest.raises(ReadError):
        slide.read_level(0, Box.of_shape(SHAPE))


@pytest.mark.parametrize("seed", range(4))
def test_damage_inside_tiles_is_judged_as_openslide_judges_it(make_slide: Make, seed: int) -> None:
    """Pillow, which hides libjpeg's warnings, passed a third of the tiles that OpenSlide refuses."""
    path, random = make_slide(), np.random.default_rng(seed)
    index = index_levels(path, [SHAPE])[0]
    assert index is not None
    sound, verdicts = path.read_bytes(), []
    for _ in range(40):
        row, column = random.integers(index.rows - 1), random.integers(index.columns - 1)
        number = int(row * index.columns + column)
        start, count = int(index.offset[number]), int(index.count[number])
        at, length = start + int(random.integers(2, count)), int(random.integers(1, 20))
        damaged = bytearray(sound)
        damaged[at : min(at + length, start + count)] = random.bytes(min(length, start + count - at))
        path.write_bytes(damaged)
        box = Box(row * 64, column * 64, row * 64 + 64, column * 64 + 64)
        with closing(JpegTiles(path)) as tiles:
            fast = tiles.read(index, box)
        try:
            slow = read_with_openslide(path, box)
        except ReadError:
            slow = None
        verdicts.append(slow is None)
        assert fast is None or np.array_equal(fast, slow)
    assert any(verdicts)
    assert not all(verdicts)
