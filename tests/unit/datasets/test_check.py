import io

import numpy as np
import pytest
from PIL import Image

from sac_wsi.datasets.check import check_dataset
from sac_wsi.datasets.contact_sheet import OUTLINE_RGB, draw_sheet, outlined, write_sheet
from sac_wsi.datasets.count_objects import count_objects
from sac_wsi.datasets.duplicates import near_duplicates, perceptual_hashes
from sac_wsi.datasets.folders import open_folders
from sac_wsi.datasets.sample import joined
from sac_wsi.errors import OutputError
from sac_wsi.nuclei.stain import stain_density
from sac_wsi.testing.datasets import make_folders, picture, save, two_squares


def kinds(report):
    return [(finding.kind, finding.where) for finding in report.findings]


def test_a_good_set(tmp_path):
    data = open_folders(*make_folders(tmp_path, ["a", "b", "c"]), mpp=0.5)
    seen = []
    report = check_dataset(data, seen.append)
    assert report.ok
    assert kinds(report) == []
    assert report.verdict == "folders: no problems"
    assert seen == ["a", "b", "c"]
    summary = report.summary
    assert (summary.images, summary.objects, summary.groups, summary.sizes) == (3, 6, 3, {"64 x 48": 3})
    assert summary.area_px["median"] == (64 + 140) / 2
    assert summary.area_um2["median"] == (64 + 140) / 8
    density = np.mean([stain_density(picture(i)).mean(axis=(0, 1)) for i in range(3)], axis=0)
    assert summary.stain_od["haematoxylin"]["mean"] == pytest.approx(density[0], rel=1e-4)
    assert summary.stain_od["eosin"]["mean"] == pytest.approx(density[1], rel=1e-4)


def test_every_problem_is_found_and_the_other_images_are_read(tmp_path):
    images, labels = make_folders(
        tmp_path, ["alone", "cut", "empty", "good", "large", "pieces", "size", "small"]
    )
    (labels / "alone.png").unlink()
    (images / "cut.png").write_bytes((images / "cut.png").read_bytes()[:200])
    save(labels / "empty.png", np.zeros((48, 64), np.uint16))
    save(labels / "large.png", np.full((48, 64), 9, np.uint16))
    save(labels / "pieces.png", (two_squares() > 0).astype(np.uint16))
    save(labels / "size.png", two_squares((48, 60)).astype(np.uint16))
    small = two_squares().astype(np.uint16)
    small[0, 0] = 7
    save(labels / "small.png", small)
    report = check_dataset(open_folders(images, labels, allow_missing=True))
    assert not report.ok
    assert kinds(report) == [
        ("unpaired", "folders"),
        ("unreadable", "cut"),
        ("empty", "empty"),
        ("large", "large"),
        ("pieces", "pieces"),
        ("unreadable", "size"),
        ("small", "small"),
    ]
    assert report.summary.images == 5
    assert report.to_json()["ok"] is False


def test_the_same_image_in_two_splits_is_serious_in_one_split_it_is_not(tmp_path):
    images, labels = make_folders(tmp_path, ["a", "b", "c"])
    (images / "b.png").write_bytes((images / "a.png").read_bytes())
    data = open_folders(images, labels)
    report = check_dataset(data)
    assert report.ok
    assert kinds(report) == [("duplicate", "a")]
    split = joined(
        "both",
        [
            data.where(lambda s: s.name != "b").marked("train"),
            data.where(lambda s: s.name == "b").marked("val"),
        ],
    )
    report = check_dataset(split)
    assert not report.ok
    assert kinds(report)[0] == ("duplicate across splits", "folders/a")
    assert "(train, val)" in report.findings[0].detail


def test_a_group_in_two_splits_is_found(tmp_path):
    data = open_folders(*make_folders(tmp_path, ["p1_1", "p1_2"]), group_pattern=r"^(\w\d)_")
    first = data.where(lambda s: s.name == "p1_1").marked("train")
    second = data.where(lambda s: s.name == "p1_2").marked("val")
    both = joined("both", [first, second])
    assert kinds(check_dataset(both)) == [("group across splits", "folders/p1")]


def altered(rgb):
    """Smaller, darker, as a poor JPEG, and on its side."""
    data = io.BytesIO()
    image = Image.fromarray(rgb).resize((rgb.shape[1] * 7 // 10, rgb.shape[0] * 7 // 10))
    image.save(data, "JPEG", quality=60)
    again = np.array(Image.open(data)).astype(float) * 0.9 + 8
    return np.rot90(again.clip(0, 255).astype(np.uint8))[:, ::-1]


def test_near_duplicates_are_found_however_turned_and_others_are_not():
    rng = np.random.default_rng(0)
    images = [
        np.array(Image.fromarray(rng.integers(0, 255, (24, 32, 3), np.uint8)).resize((320, 240)))
        for _ in range(12)
    ]
    hashes = [perceptual_hashes(np.ascontiguousarray(rgb)) for rgb in [*images, altered(images[4])]]
    pairs = near_duplicates(hashes)
    assert [(i, j) for i, j, _ in pairs] == [(4, 12)]
    assert pairs[0][2] < 0.1


def test_objects_are_counted_whatever_their_ids():
    labels = two_squares(ids=(5, 2_000_000))
    labels[47, 63] = 5
    objects = count_objects(labels)
    assert objects.ids.tolist() == [5, 2_000_000]
    assert objects.area_px.tolist() == [65, 140]
    assert objects.split == (5,)
    assert count_objects(np.full((3, 3), 4, np.int32)).area_px.tolist() == [9]
    assert count_objects(np.zeros((3, 3), np.int32)).ids.tolist() == []


def test_a_sheet_shows_outlines_and_what_cannot_be_read(tmp_path):
    images, labels = make_folders(tmp_path, ["a", "b"])
    (images / "b.png").write_bytes(b"")
    data = open_folders(images, labels)
    sheet = draw_sheet(data, cell_px=64)
    green = (sheet == OUTLINE_RGB).all(axis=2)
    rgb, wanted = data.read(0)
    assert green.sum() == (outlined(rgb, wanted) != rgb).any(axis=2).sum()
    assert (sheet == (200, 60, 60)).all(axis=2).sum() == 64 * 64
    write_sheet(tmp_path / "look.png", data)
    with pytest.raises(OutputError, match="--overwrite"):
        write_sheet(tmp_path / "look.png", data)
    with pytest.raises(OutputError, match=r"not a .png"):
        write_sheet(tmp_path / "look.jpg", data)
