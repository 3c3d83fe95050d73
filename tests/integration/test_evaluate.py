"""`sac-wsi evaluate` as a user meets it."""

import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sac_wsi.testing import SyntheticSlide

LABELS = np.kron(np.arange(12).reshape(3, 4), np.ones((8, 9), int)).astype(np.uint16)
MEASURES = ["dice", "iou", "aji", "aji_plus", "pq", "dq", "sq", "f1_det"]


@pytest.fixture
def work(tmp_path):
    """Three images: one found, one found with a shift, one not predicted; and one that has no truth."""
    for folder in ("pred", "truth"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b", "c"):
        Image.fromarray(LABELS).save(tmp_path / "truth" / f"{name}.png")
    Image.fromarray(LABELS).save(tmp_path / "pred" / "a.png")
    np.save(tmp_path / "pred" / "b.npy", np.roll(LABELS, 1, axis=0))
    np.save(tmp_path / "pred" / "other.npy", LABELS)
    return tmp_path


FOLDERS = ("evaluate", "--pred", "pred", "--truth", "truth")


def test_json(sac, work):
    done = sac(*FOLDERS, "--json", cwd=work).went_well()
    assert list(done.json["mean"]) == MEASURES
    images = done.json["images"]
    assert [image["name"] for image in images] == ["a", "b", "c"]
    for measure in MEASURES:
        values = [image[measure] for image in images]
        assert values[0] == 1 >= values[1] > values[2] == 0
        assert done.json["mean"][measure] == pytest.approx(np.mean(values))
        low, high = done.json["interval_95"][measure]
        assert 0 <= low < done.json["mean"][measure] <= high <= 1
    assert images[1]["dq"] == 1 > images[1]["sq"] == images[1]["pq"]
    assert 0 < done.json["f1_pooled"] < 1
    assert done.json["missing"] == ["c"]
    assert done.json["extra"] == ["other.npy"]
    assert "1 missing, counted as empty: c" in done.err
    assert "1 without a truth, not scored: other.npy" in done.err
    assert sac(*FOLDERS, "--json", cwd=work).out == done.out


def test_table(sac, work):
    done = sac(*FOLDERS, "--objects", cwd=work).went_well()
    output = sac(*FOLDERS, "--objects", "--json", cwd=work).json
    assert "3 images, 33 true nuclei, 22 predicted" in done.out
    rows = dict(re.findall(r"^(\w+) +([\d.]+)   [\d.]+ to [\d.]+$", done.out, re.MULTILINE))
    assert list(rows) == [*MEASURES, "f1_pooled", "object_f1", "object_dice", "object_hausdorff_px"]
    assert float(rows["aji"]) == pytest.approx(output["mean"]["aji"], abs=1e-4)
    assert float(rows["object_dice"]) == pytest.approx(output["objects"]["mean"]["dice"], abs=1e-4)


def test_one_image_and_nothing_found(sac, work):
    for name in ("b.png", "c.png"):
        (work / "truth" / name).unlink()
    (work / "pred" / "a.png").unlink()
    done = sac(*FOLDERS, "--objects", cwd=work).went_well()
    assert re.search(r"^dice +0\.0000$", done.out, re.MULTILINE)
    assert re.search(r"^object_hausdorff_px +-$", done.out, re.MULTILINE)


def test_what_cannot_be_scored(sac, work):
    sac("evaluate", "--pred", "pred", "--truth", "nowhere", cwd=work).refused("nowhere")
    (work / "empty").mkdir()
    sac("evaluate", "--pred", "pred", "--truth", "empty", cwd=work).refused("empty", "at least one")
    np.save(work / "pred" / "c.npy", LABELS[1:])
    sac(*FOLDERS, cwd=work).refused("c.npy", "23 x 36", "24 x 36")
    Image.fromarray(np.zeros((24, 36, 3), np.uint8)).save(work / "pred" / "c.png")
    sac(*FOLDERS, cwd=work).refused("c.npy", "c.png")
    (work / "pred" / "c.npy").unlink()
    sac(*FOLDERS, cwd=work).refused("c.png", "RGB")
    for args in (("--pred", "pred"), ("--truth", "truth")):
        assert sac("evaluate", *args, cwd=work).code == 2


def test_help_shows_an_example(sac, work):
    shown = sac("evaluate", "--help", cwd=work).went_well().out
    assert "Example:\n    sac-wsi evaluate --pred" in shown


def test_it_runs_where_there_is_no_torch_and_no_slide(work):
    code = """
import sys
for name in ("torch", "segment_anything", "safetensors", "zarr", "openslide", "dask", "tiatoolbox"):
    sys.modules[name] = None
sys.argv[1:] = ["evaluate", "--pred", "pred", "--truth", "truth", "--json"]
from sac_wsi.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=work, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"aji_plus"' in done.stdout


def test_labels_that_segment_wrote(sac, tmp_path):
    """Our own label images are both: a prediction and a truth."""
    SyntheticSlide(seed=4, shape_yx=(400, 500)).write_tiff(tmp_path / "slide.tiff")
    for folder in ("pred", "truth"):
        (tmp_path / folder).mkdir()
    outs = ("--out", "pred/n.tif", "--out", "truth/n.png")
    sac("segment", "slide.tiff", *outs, "--tissue", "none", cwd=tmp_path).went_well()
    output = sac(*FOLDERS, "--json", cwd=tmp_path).went_well().json
    assert set(output["mean"].values()) == {1}
    assert output["images"][0]["truth_nuclei"] > 10
