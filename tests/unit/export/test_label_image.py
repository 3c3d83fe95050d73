import json
import tracemalloc

import numpy as np
import pytest
import tifffile
from PIL import Image

from sac_wsi.errors import OutputError, StoreError
from sac_wsi.export.header import read_header
from sac_wsi.export.label_image import write_label_image

HEADER = {"store": "Präparat.zarr", "mpp": 0.25}
RNG = np.random.default_rng(0)


def labels(height, width, largest=65_535):
    coarse = RNG.integers(0, largest + 1, (-(-height // 8), -(-width // 8)), np.uint32)
    return np.kron(coarse, np.ones((8, 8), np.uint32))[:height, :width]


def read(path):
    if path.suffix == ".png":
        return np.asarray(Image.open(path)).astype(np.uint32)
    return tifffile.imread(path)


@pytest.mark.parametrize("name", ["a.tif", "a.tiff", "a.png"])
@pytest.mark.parametrize("shape", [(1, 1), (1024, 1024), (1025, 2047), (700, 9000), (3000, 5)])
def test_pixels_and_header_come_back(tmp_path, name, shape):
    path, image = tmp_path / name, labels(*shape)
    size = write_label_image(path, image, HEADER, mpp=0.25)
    assert size == path.stat().st_size
    np.testing.assert_array_equal(read(path), image)
    assert read_header(path) == HEADER


def test_tiff_tags_say_what_a_viewer_needs(tmp_path):
    write_label_image(tmp_path / "a.tif", labels(50, 60, 2**32 - 1), HEADER, mpp=0.5)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        page = tiff.pages.first
        assert (page.dtype, page.is_tiled, page.compression.name) == (np.uint32, True, "ADOBE_DEFLATE")
        assert page.tags["XResolution"].value == (20_000, 1)
        assert page.tags["ResolutionUnit"].value == 3
        assert json.loads(page.description) == HEADER
        assert not {"DateTime", "Software"} & {tag.name for tag in page.tags}


def test_png_says_its_scale(tmp_path):
    write_label_image(tmp_path / "a.png", labels(5, 6), HEADER, mpp=0.25)
    image = Image.open(tmp_path / "a.png")
    assert image.mode == "I;16"
    assert json.loads(image.text["sac_wsi"]) == HEADER
    assert image.info["dpi"] == pytest.approx((101_600, 101_600))


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_the_same_labels_give_the_same_bytes(tmp_path, name):
    image = labels(1500, 1200)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_label_image(tmp_path / folder / name, image, HEADER, mpp=0.25)
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_an_id_beyond_16_bits_is_refused_and_nothing_left(tmp_path):
    image = labels(1100, 10)
    image[-1, -1] = 65_536
    with pytest.raises(OutputError, match=r"nucleus 65,536.*ends at 65,535.*a\.tif"):
        write_label_image(tmp_path / "a.png", image, HEADER, mpp=0.25)
    assert not list(tmp_path.iterdir())


def test_a_large_png_is_refused_before_a_pixel_is_read(tmp_path):
    class Large:
        shape = (30_001, 10)

        def __getitem__(self, key):
            raise AssertionError("read")

    with pytest.raises(OutputError, match=r"10 x 30,001 pixels.*a\.tif"):
        write_label_image(tmp_path / "a.png", Large(), HEADER, mpp=0.25)


def test_other_forms_are_refused(tmp_path):
    with pytest.raises(OutputError, match=r"Try \.tif"):
        write_label_image(tmp_path / "a.geojson", labels(2, 2), HEADER, mpp=0.25)


def test_memory_is_that_of_a_piece(tmp_path):
    class Lazy:
        shape = (12_000, 12_000)

        def __getitem__(self, key):
            rows, columns = key
            return np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint32)

    tracemalloc.start()
    write_label_image(tmp_path / "a.tif", Lazy(), HEADER, mpp=0.25)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_headers_of_other_and_of_broken_files(tmp_path, name):
    path = tmp_path / name
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    assert read_header(path) is None
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(StoreError, match="Export it again"):
        read_header(path)
