"""Folders of label images: which files, in which forms, and what is refused."""

import contextlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from sac_wsi.datasets import label_files
from sac_wsi.datasets.label_files import read_labels
from sac_wsi.errors import RequestError
from sac_wsi.evaluate.folders import evaluate_folders
from sac_wsi.evaluate.metrics import score_image

LABELS = np.kron(np.arange(12).reshape(3, 4), np.ones((5, 6), int))


@pytest.fixture
def folders(tmp_path):
    pred, truth = tmp_path / "pred", tmp_path / "truth"
    pred.mkdir()
    truth.mkdir()
    return pred, truth


def save(path, labels=LABELS, dtype=np.uint16, **options):
    labels = np.asarray(labels, dtype)
    if path.suffix == ".npy":
        np.save(path, labels)
    elif path.suffix == ".png":
        Image.fromarray(labels).save(path)
    else:
        tifffile.imwrite(path, labels, **options)
    return path


def palette(path, labels=LABELS):
    image = Image.fromarray(np.asarray(labels, np.uint8), "L").convert("P")
    image.putdata(np.asarray(labels, np.uint8).ravel().tolist())
    # two ids of one colour: the index counts, not what is seen
    image.putpalette([0, 0, 0, 200, 0, 0, 200, 0, 0, 0, 90, 0] + [7, 7, 7] * 252)
    image.save(path)
    return path


def lzw(path):
    # by Pillow: tifffile cannot write LZW without imagecodecs
    Image.fromarray(LABELS.astype(np.uint16)).save(path, compression="tiff_lzw")
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.png", {"dtype": np.uint8}),
        ("a.tif", {}),
        ("a.tiff", {"dtype": np.uint32, "compression": "zlib", "tile": (16, 16)}),
        ("a.tif", {"dtype": np.int32, "byteorder": ">"}),
        ("a.tif", {"dtype": np.int64}),
        ("a.npy", {"dtype": np.int64}),
        ("a.npy", {"dtype": np.uint64}),
        ("a.npy", {"dtype": ">u4"}),
    ],
)
def test_every_form_gives_the_same_labels(tmp_path, name, options):
    path = save(tmp_path / name, **options)
    np.testing.assert_array_equal(read_labels(path), LABELS)
    np.testing.assert_array_equal(read_labels(path.read_bytes(), path.suffix, "some bytes"), LABELS)


def test_palettes_and_compressions(tmp_path, monkeypatch):
    np.testing.assert_array_equal(read_labels(palette(tmp_path / "a.png")), LABELS)
    np.testing.assert_array_equal(read_labels(lzw(tmp_path / "a.tif")), LABELS)

    def no_codecs(*_args, **_options):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", no_codecs)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), LABELS)
    np.testing.assert_array_equal(read_labels((tmp_path / "a.tif").read_bytes(), ".tif"), LABELS)


def test_ids_above_16_bits_and_pyramids(tmp_path):
    large = LABELS * 300_000_000
    np.testing.assert_array_equal(read_labels(save(tmp_path / "a.tif", large, np.uint32)), large)
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        file.write(LABELS.astype(np.uint16), subifds=1)
        file.write(LABELS[::2, ::2].astype(np.uint16), subfiletype=1)
    np.testing.assert_array_equal(read_labels(tmp_path / "b.tif"), LABELS)


def test_files_match_by_stem(folders):
    pred, truth = folders
    moved = np.roll(LABELS, 2, axis=1)
    save(truth / "x.1.png")
    save(truth / "y.tif")
    save(truth / "z.npy")
    save(truth / ".hidden.png")
    (truth / "notes.txt").write_text("not an image")
    save(pred / "x.1.npy", moved)
    save(pred / "y.tif").rename(pred / "y.TIF")
    save(pred / "other.png")
    scores = evaluate_folders(pred, truth, objects=True)
    assert [image.name for image in scores.images] == ["x.1", "y", "z"]
    assert scores.missing == ("z",)
    assert scores.extra == ("other.png",)
    assert scores.images[0] == score_image(LABELS, moved, name="x.1", objects=True)
    assert [image.pq for image in scores.images[1:]] == [1, 0]
    assert scores.mean["pq"] == pytest.approx((scores.images[0].pq + 1) / 3)
    assert scores.images[2].truth_nuclei == 11


def test_what_the_folders_must_be(folders, tmp_path):
    pred, truth = folders
    with pytest.raises(RequestError, match="has no label image"):
        evaluate_folders(pred, truth)
    with pytest.raises(RequestError, match="nowhere is not a folder"):
        evaluate_folders(tmp_path / "nowhere", truth)
    save(truth / "a.png")
    assert evaluate_folders(pred, truth).mean["dice"] == 0
    save(truth / "a.tif")
    with pytest.raises(RequestError, match=r"both a\.png and a\.tif"):
        evaluate_folders(pred, truth)
    (truth / "a.tif").unlink()
    save(pred / "a.png", LABELS[:, :-3])
    with pytest.raises(RequestError, match=r"pred/a\.png has 15 x 21 pixels.*truth/a\.png have\s+15 x 24"):
        evaluate_folders(pred, truth)


@pytest.mark.parametrize(
    ("name", "labels", "words"),
    [
        ("a.png", np.zeros((4, 4, 3), np.uint8), "RGB pixels"),
        ("a.png", np.zeros((4, 4, 2), np.uint8), "LA pixels"),
        ("a.tif", np.zeros((4, 4, 3), np.uint8), "shape 4 x 4 x 3"),
        ("a.tif", np.zeros((5, 4, 4), np.uint16), "shape 5 x 4 x 4"),
        ("a.tif", np.zeros((4, 4), np.float32), "float32 pixels"),
        ("a.npy", np.zeros((4, 4)), "float64 pixels"),
        ("a.npy", np.zeros(4, int), "shape 4,"),
        ("a.npy", np.full((4, 4), -3), "labels from -3 to -3"),
        ("a.npy", np.full((4, 4), 2**63, np.uint64), "1 to 9223372036854775807"),
        ("a.npy", np.zeros((0, 4), int), "shape 0 x 4"),
    ],
)
def test_what_is_no_label_image(tmp_path, name, labels, words):
    with pytest.raises(RequestError, match=words) as refused:
        read_labels(save(tmp_path / name, labels, labels.dtype))
    assert str(tmp_path / name) in str(refused.value)


def test_nothing_in_a_file_is_run(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[print]], object), allow_pickle=True)
    np.savez(tmp_path / "b.npz", LABELS)
    (tmp_path / "b.npz").rename(tmp_path / "b.npy")
    for name in ("a.npy", "b.npy"):
        with pytest.raises(RequestError, match="cannot be read"):
            read_labels(tmp_path / name)
        with pytest.raises(RequestError, match="some bytes cannot be read"):
            read_labels((tmp_path / name).read_bytes(), ".npy", "some bytes")


def test_an_array_that_claims_to_be_larger_than_its_file(tmp_path):
    for shape in (b"(99999999999, 999999), }", b"(16, 24), }"):
        path = save(tmp_path / "a.npy")
        path.write_bytes(path.read_bytes().replace(b"(15, 24), }".ljust(len(shape)), shape))
        for source in (path, path.read_bytes()):
            with pytest.raises(RequestError, match="some bytes cannot be read"):
                read_labels(source, ".npy", "some bytes")


@pytest.mark.parametrize("suffix", label_files.SUFFIXES)
def test_broken_files(tmp_path, suffix):
    whole = save(tmp_path / f"a{suffix}", np.random.default_rng(0).integers(0, 60_000, (64, 64))).read_bytes()
    broken = tmp_path / f"b{suffix}"
    for size in (0, 1, 7, 60, 200, len(whole) // 2, len(whole) - 40):
        broken.write_bytes(whole[:size])
        with pytest.raises(RequestError, match="b"):
            read_labels(broken)
    broken.write_bytes(b"#!/bin/sh\n" * 99)
    with pytest.raises(RequestError, match="cannot be read"):
        read_labels(broken)


@pytest.mark.parametrize("suffix", label_files.SUFFIXES)
def test_flipped_bytes_are_refused_or_read(tmp_path, suffix):
    """No other error than ours, whatever the file holds."""
    options = {"compression": "zlib"} if suffix == ".tiff" else {}
    whole = save(tmp_path / f"a{suffix}", **options).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        data = bytearray(whole)
        data[rng.integers(0, min(len(data), 400))] = rng.integers(0, 256)
        (tmp_path / f"b{suffix}").write_bytes(data)
        with contextlib.suppress(RequestError):
            assert read_labels(tmp_path / f"b{suffix}").ndim == 2


def test_an_image_too_large_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(label_files, "MAX_PIXELS", LABELS.size - 1)
    for suffix in (".tif", ".png"):
        with pytest.raises(RequestError, match="15 x 24 pixels; a label image may have 359"):
            read_labels(save(tmp_path / f"a{suffix}"))
    assert read_labels(save(tmp_path / "a.npy")).size == LABELS.size


def test_an_unreadable_file(tmp_path, monkeypatch):
    path = save(tmp_path / "a.tif")
    monkeypatch.setattr(tifffile, "TiffFile", lambda _: (_ for _ in ()).throw(PermissionError("denied")))
    with pytest.raises(RequestError, match=r"a\.tif cannot be read as a label image \(denied\)"):
        read_labels(path)
