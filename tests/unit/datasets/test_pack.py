import json
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sac_wsi.datasets.folders import open_folders
from sac_wsi.datasets.pack import MANIFEST, Pack, cut, write_pack
from sac_wsi.datasets.split import split_by_group
from sac_wsi.errors import DataError
from sac_wsi.testing.datasets import make_folders, two_squares


@pytest.fixture
def data(tmp_path):
    folders = make_folders(tmp_path / "set", ["p1_1", "p1_2", "p2_1"])
    return open_folders(*folders, name="own", mpp=0.5, group_pattern=r"^(\w\d)_", licence="CC0-1.0")


def changed(path, member, content):
    """The archive with one member replaced, or left away."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members.pop(member)
    with zipfile.ZipFile(path, "w") as archive:
        for name, held in (members | ({member: content} if content is not None else {})).items():
            archive.writestr(name, held)
    return path


def test_without_loss_everything_comes_back(tmp_path, data):
    learn, held = split_by_group(data, 0.4)
    write_pack(tmp_path / "a.zip", [learn], quality=None, crop_px=0)
    pack = Pack.open(tmp_path / "a.zip")
    assert len(pack) == len(learn)
    for i in range(len(pack)):
        for ours, theirs in zip(pack.read(i), learn.read(i), strict=True):
            assert np.array_equal(ours, theirs)
    sample = pack.as_dataset().samples[0]
    assert (sample.split, sample.mpp, sample.group) == ("train", 0.5, f"own/{learn.samples[0].group}")
    assert len(pack.part("train")) == len(learn)
    assert pack.as_dataset().licence == "CC0-1.0"
    assert len(held)


def test_where_labels_lie_beside_is_kept(tmp_path, data):
    beside = replace(data, samples=tuple(replace(s, label_offset_yx=(-0.5, 1.0)) for s in data.samples))
    write_pack(tmp_path / "a.zip", [beside])
    samples = Pack.open(tmp_path / "a.zip").as_dataset().samples
    assert {tuple(sample.label_offset_yx) for sample in samples} == {(-0.5, 1.0)}


def test_it_needs_none_of_the_original_files(tmp_path, data):
    write_pack(tmp_path / "a.zip", [data], crop_px=64)
    for path in (tmp_path / "set").rglob("*.png"):
        path.unlink()
    pack = Pack.open(tmp_path / "a.zip")
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(pack.read, list(range(len(pack))) * 8))
    assert all(np.array_equal(labels, two_squares()) for _, labels in read)
    text = zipfile.ZipFile(tmp_path / "a.zip").read(MANIFEST).decode()
    assert str(tmp_path) not in text


def test_loss_is_small(tmp_path, data):
    write_pack(tmp_path / "a.zip", [data])
    error = Pack.open(tmp_path / "a.zip").read(0)[0].astype(float) - data.read(0)[0]
    assert 0 < np.sqrt((error**2).mean()) < 3


def test_the_same_images_give_the_same_bytes(tmp_path, data):
    for name in ("a.zip", "b.zip"):
        write_pack(tmp_path / name, [data])
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(64, 1200))
def test_crops_partition_the_image(height, width, crop_px):
    boxes = cut((height, width), crop_px)
    assert sum(box.area for box in boxes) == height * width
    assert max(max(box.shape) for box in boxes) <= crop_px
    assert all(not a.intersect(b).area for i, a in enumerate(boxes) for b in boxes[:i])


def test_crops_put_together_are_the_labels(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = make_folders(tmp_path, ["a"])
    (labels / "a.png").unlink()
    wanted = rng.integers(0, 100_000, (48, 64)).astype(np.int32)
    wanted[:, :20] //= 100
    np.save(labels / "a.npy", np.tile(wanted, (4, 4)))
    from PIL import Image

    Image.fromarray(np.zeros((192, 256, 3), np.uint8)).save(images / "a.png")
    manifest = write_pack(tmp_path / "a.zip", [open_folders(images, labels)], crop_px=100)
    pack = Pack.open(tmp_path / "a.zip")
    together = np.zeros((192, 256), np.int32)
    for i, crop in enumerate(manifest.crops):
        y0, x0, y1, x1 = crop.box
        together[y0:y1, x0:x1] = pack.read(i)[1]
    assert np.array_equal(together, np.tile(wanted, (4, 4)))
    assert any(crop.labels.endswith(".npy.z") for crop in manifest.crops)


def test_one_that_would_be_too_large_is_not_left_behind(tmp_path, data):
    with pytest.raises(DataError, match=r"needed at most 0.0. Pass --quality 92"):
        write_pack(tmp_path / "a.zip", [data], quality=None, max_bytes=2000)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop_px": 5}, "Crops of 5 px"),
        ({"quality": 0}, "quality of 0"),
        ({"quality": 101}, "quality of 101"),
    ],
)
def test_settings_that_do_not_fit(tmp_path, data, settings, message):
    with pytest.raises(DataError, match=message):
        write_pack(tmp_path / "a.zip", [data], **settings)
    with pytest.raises(DataError, match="nothing to pack"):
        write_pack(tmp_path / "a.zip", [])
    with pytest.raises(DataError, match="a different name for each"):
        write_pack(tmp_path / "a.zip", [data, data])


def test_what_is_no_pack(tmp_path, data):
    with pytest.raises(DataError, match="There is no file"):
        Pack.open(tmp_path / "nothing.zip")
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(DataError, match=r"text.zip is not a zip"):
        Pack.open(tmp_path / "text.zip")
    write_pack(tmp_path / "a.zip", [data])
    with pytest.raises(DataError, match="so it is not a pack"):
        Pack.open(changed(tmp_path / "a.zip", MANIFEST, None))


def manifest_with(path, **values):
    found = json.loads(zipfile.ZipFile(path).read(MANIFEST))
    return json.dumps(found | values).encode()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": "other/9"}, "format 'other/9'"),
        ({"crops": []}, "holds no crops"),
        ({"crops": [{"name": 3}]}, "damaged"),
        ({"crops": 7}, "damaged"),
        ({"more": 1}, "damaged"),
    ],
)
def test_a_manifest_that_does_not_fit(tmp_path, data, values, message):
    path = tmp_path / "a.zip"
    write_pack(path, [data])
    with pytest.raises(DataError, match=message):
        Pack.open(changed(path, MANIFEST, manifest_with(path, **values)))


def test_a_member_that_is_lacking_or_damaged(tmp_path, data):
    path = tmp_path / "a.zip"
    write_pack(path, [data])
    pack = Pack.open(changed(path, "images/000000.jpg", b"no picture"))
    with pytest.raises(DataError, match=r"images/000000.jpg in .*a.zip cannot be decoded"):
        pack.read(0)
    assert pack.read(1)[1].any()
    with pytest.raises(DataError, match=r"lacks images/000001.jpg"):
        Pack.open(changed(path, "images/000001.jpg", None))


def test_labels_that_would_burst_are_not_unpacked(tmp_path, data):
    path = tmp_path / "a.zip"
    write_pack(path, [data])
    found = json.loads(zipfile.ZipFile(path).read(MANIFEST))
    found["crops"][0]["labels"] = "labels/bomb.npy.z"
    bomb = zlib.compress(bytes(200 * 2**20))
    changed(path, MANIFEST, json.dumps(found).encode())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels/bomb.npy.z", bomb)
    with pytest.raises(DataError, match=r"bomb.npy.z"):
        Pack.open(path).read(0)


def test_names_that_lead_out_are_refused(tmp_path, data):
    path = tmp_path / "a.zip"
    write_pack(path, [data])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../.bashrc", b"")
    with pytest.raises(DataError, match="points outside it"):
        Pack.open(path)
