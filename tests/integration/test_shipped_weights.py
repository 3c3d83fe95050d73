"""What comes along works out of the box, and what may not go along stays behind."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sac_wsi.label_files import read_labels
from sac_wsi.masks import labels_from_nuclei
from sac_wsi.metrics import score_image
from sac_wsi.model.checkpoint import read_header, verify
from sac_wsi.model_files import shipped_model_files, shipped_path
from sac_wsi.run import Run
from sac_wsi.testing import SyntheticSlide
from sac_wsi.verify import verify_run

ROOT = Path(__file__).parents[2]
TNBC = ROOT.parent / "shared" / "data" / "tnbc"
TINY = shipped_path("sac-tiny", non_commercial=False)
RESEARCH = shipped_path("sac-tiny-research", non_commercial=True)
MOST_BYTES = 25_000_000


def test_which_models_ship():
    assert shipped_model_files() == sorted([TINY, RESEARCH])


@pytest.mark.parametrize("path", [TINY, RESEARCH], ids=lambda path: path.stem)
def test_a_file_that_ships(path):
    assert verify(path) == []
    assert path.stat().st_size <= MOST_BYTES
    card = read_header(path).card
    assert card.name == path.stem
    assert (card.mpp, card.size.family, card.kind) == (0.25, "sac", "whole")
    assert card.training.steps > 0


def test_the_terms_of_both():
    open_terms, research = (read_header(path).card.training for path in (TINY, RESEARCH))
    assert set(open_terms.data) == {"tnbc", "dsb2018"}
    assert "NC" not in open_terms.licence
    assert not open_terms.non_commercial
    assert "monuseg" in research.data
    assert "CC-BY-NC-SA" in research.licence
    assert research.non_commercial
    assert "NON-COMMERCIAL" in (RESEARCH.parent / "LICENSE").read_text()
    assert "CC BY 4.0" in (TINY.parent / "LICENSE").read_text()


def test_without_a_word_about_models_it_finds_nuclei(sac, tmp_path):
    slide = SyntheticSlide(seed=5, shape_yx=(700, 800), touching_fraction=0.3)
    slide.write_tiff(tmp_path / "s.tiff")
    args = ("segment", "s.tiff", "--out", "n.geojson", "--tissue", "none")
    done = sac(*args, "--json", cwd=tmp_path, timeout=120).went_well()
    assert done.json["warnings"] == []
    run = Run.open(tmp_path / "n.geojson")
    assert run.provenance["model"]["name"] == "sac-tiny"
    assert not run.provenance["model"]["non_commercial"]
    assert verify_run(run.store).ok
    found = score_image(labels_from_nuclei(slide.truth(slide.box), slide.box), np.asarray(run.labels()))
    assert found.dice > 0.7


def test_on_tissue_that_it_has_not_learnt_from(sac, tmp_path):
    """Of a patient of TNBC that was held back."""
    if not TNBC.exists():
        pytest.skip("the labelled images are not here")
    name = "04_1"
    image = Image.open(TNBC / "images" / f"{name}.png").convert("RGB")
    image.save(tmp_path / "image.png")
    args = ("segment", "image.png", "--out", "n.png", "--mpp", "0.25")
    sac(*args, cwd=tmp_path, timeout=120).went_well()
    truth = read_labels(TNBC / "labels" / f"{name}.png")
    assert score_image(truth, np.asarray(Run(tmp_path / "n.zarr").labels())).dice > 0.7


def test_research_weights_say_so(sac, tmp_path):
    SyntheticSlide(seed=6, shape_yx=(300, 300)).write_tiff(tmp_path / "s.tiff")
    args = ("segment", "s.tiff", "--out", "n.geojson", "--tissue", "none", "--model", "sac-tiny-research")
    done = sac(*args, "--json", cwd=tmp_path, timeout=120).went_well()
    assert "warning: the weights of sac-tiny-research are for non-commercial use only" in done.err
    assert Run.open(tmp_path / "n.geojson").provenance["model"]["non_commercial"]


def test_the_list_of_models(sac, tmp_path):
    told = sac("models", "list", cwd=tmp_path).went_well().out
    assert "came along, non-commercial" in told
    shipped = sac("models", "list", "--json", cwd=tmp_path).went_well().json["shipped"]
    assert {entry["name"] for entry in shipped} == {"sac-tiny", "sac-tiny-research"}
    described = sac("models", "describe", "sac-tiny", "--json", cwd=tmp_path).went_well().json
    assert described["name"] == "sac-tiny"


@pytest.mark.parametrize("switched_on", [False, True])
def test_the_wheel_leaves_out_what_is_for_research(tmp_path, switched_on):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    switch = {"HATCH_BUILD_HOOK_ENABLE_CUSTOM": "1"} if switched_on else {}
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **switch}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "sac_wsi/weights/sac-tiny.safetensors" in names
    assert "sac_wsi/weights/LICENSE" in names
    research = {name for name in names if "research/" in name}
    assert research == (
        {f"sac_wsi/weights/research/{name}" for name in ("LICENSE", RESEARCH.name)} if switched_on else set()
    )


def test_shipping_keeps_the_card_and_halves_the_file(sac, tmp_path, monkeypatch):
    sys.path.insert(0, str(ROOT / "pipelines"))
    monkeypatch.setattr("sac_wsi.model_files._SHIPPED", tmp_path)
    from ship_weights import ship

    path = ship(TINY, "again", ["min_score=0.25"], {"zero_shot_pq": 0.5})
    assert path == tmp_path / "again.safetensors"
    before, after = read_header(TINY).card, read_header(path).card
    assert (after.name, after.inference.min_score) == ("again", 0.25)
    assert after.metrics == {**before.metrics, "zero_shot_pq": 0.5}
    assert json.loads(after.to_json())["size"] == json.loads(before.to_json())["size"]
    assert verify(path) == []
