"""Shipped weights work without settings; weights for research only are not in the wheel."""

import os
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sac_wsi.datasets.label_files import read_labels
from sac_wsi.errors import ConfigError
from sac_wsi.evaluate.metrics import score_image
from sac_wsi.model.checkpoint.file import load_model, save_checkpoint, verify
from sac_wsi.model.checkpoint.header import read_header
from sac_wsi.model.predict.choose import find_checkpoint
from sac_wsi.nuclei.masks import labels_from_nuclei
from sac_wsi.store.run import Run
from sac_wsi.testing import SyntheticSlide
from sac_wsi.verify.check_run import verify_run
from sac_wsi.weights.catalogue import shipped_model_files, shipped_path

ROOT = Path(__file__).parents[2]
TNBC = ROOT.parent / "shared" / "data" / "tnbc"
TINY = shipped_path("sac-tiny", non_commercial=False)
RESEARCH = shipped_path("sac-tiny-research", non_commercial=True)
MOST_BYTES = 25_000_000


pytestmark = pytest.mark.skipif(
    not RESEARCH.exists(), reason="needs a git checkout: the source archive lacks them"
)


def test_which_models_ship():
    assert set(shipped_model_files()) == {TINY, RESEARCH}


@pytest.mark.parametrize("path", [TINY, RESEARCH], ids=lambda path: path.stem)
def test_a_shipped_file_is_valid(path):
    assert verify(path) == []
    assert path.stat().st_size <= MOST_BYTES
    card = read_header(path).card
    assert card.name == path.stem
    assert (card.mpp, card.kind) == (0.25, "whole")
    assert card.size.family == "unet"  # a prompter alone
    assert card.training.steps > 0


def test_the_licence_terms_of_both():
    open_terms, research = (read_header(path).card.training for path in (TINY, RESEARCH))
    assert set(open_terms.data) == {"ImageNet", "tnbc", "dsb2018", "nuinsseg", "cmu1"}
    assert "NC" not in open_terms.licence
    assert not open_terms.non_commercial
    assert "monuseg" in research.data
    assert "CC-BY-NC-SA" in research.licence
    assert research.non_commercial
    assert "NON-COMMERCIAL" in (RESEARCH.parent / "LICENSE").read_text()
    assert "CC BY 4.0" in (TINY.parent / "LICENSE").read_text()


def test_the_default_model_finds_nuclei(sac, tmp_path):
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


@pytest.mark.parametrize("colour", [(255, 255, 255), (240, 238, 243), (0, 0, 0), (30, 60, 200)])
def test_images_without_tissue_have_no_nuclei(sac, tmp_path, colour):
    """Glass, the black outside the glass, ink."""
    Image.new("RGB", (700, 600), colour).save(tmp_path / "image.png")
    args = ("segment", "image.png", "--out", "n.geojson", "--mpp", "0.25", "--json")
    assert sac(*args, cwd=tmp_path, timeout=120).went_well().json["nuclei"] == 0


def test_a_slide_of_another_resolution_is_refused(sac, tmp_path):
    SyntheticSlide(seed=6, shape_yx=(300, 300), mpp=1.0).write_tiff(tmp_path / "s.tiff")
    refused = sac("segment", "s.tiff", "--out", "n.geojson", cwd=tmp_path, timeout=120)
    refused.refused("1 µm per pixel; sac-tiny was made for 0.15 to 0.6. Pass --model classical")


def test_on_an_image_of_tissue(sac, tmp_path):
    """The image may be a training image: this only shows that the weights work."""
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
    text = sac("models", "list", cwd=tmp_path).went_well().out
    assert "installed, non-commercial" in text
    shipped = sac("models", "list", "--json", cwd=tmp_path).went_well().json["shipped"]
    assert {entry["name"] for entry in shipped} == {"sac-tiny", "sac-tiny-research"}
    described = sac("models", "describe", "sac-tiny", "--json", cwd=tmp_path).went_well().json
    assert described["name"] == "sac-tiny"


def built(what, folder, **environment):
    command = [sys.executable, "-m", "hatchling", "build", "-t", what, "-d", str(folder)]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("switch", ["0", "1"])
def test_the_wheel_leaves_out_research_weights(tmp_path, switch):
    done = built("wheel", tmp_path, SAC_WSI_RESEARCH_WEIGHTS=switch)
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "sac_wsi/weights/LICENSE" in names
    weights = {name for name in names if name.endswith(".safetensors")}
    research = {f"sac_wsi/weights/research/{RESEARCH.name}"} if switch == "1" else set()
    assert weights == {f"sac_wsi/weights/{TINY.name}"} | research
    assert ("sac_wsi/weights/research/LICENSE" in names) == bool(research)


def test_the_source_archive_has_no_research_weights_and_no_data(tmp_path):
    done = built("sdist", tmp_path)
    assert done.returncode == 0, done.stderr
    [archive] = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as inside:
        names = {name.partition("/")[2] for name in inside.getnames()}
    assert {"README.md", "LICENSE", "pyproject.toml", "pipelines/ship_weights.py"} <= names
    assert {name for name in names if name.endswith((".safetensors", ".pt", ".zip"))} == {
        f"sac_wsi/weights/{TINY.name}"
    }


def test_a_missing_research_model_is_refused(monkeypatch):
    monkeypatch.setattr("sac_wsi.weights.catalogue._SHIPPED", Path("nowhere"))
    with pytest.raises(ConfigError, match=r"non-commercial use only .* --model sac_wsi/weights/research/"):
        find_checkpoint("sac-tiny-research")


def test_ship_sets_name_settings_precision_and_folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "pipelines"))
    monkeypatch.setattr("sac_wsi.weights.catalogue._SHIPPED", tmp_path)
    from ship_weights import ship

    (tmp_path / "research").mkdir()
    model, header = load_model(TINY)
    free, forbids = tmp_path / "free.safetensors", tmp_path / "forbids.safetensors"
    save_checkpoint(free, model, replace(header.card, metrics={"validation_pq": 0.9}))
    terms = replace(header.card.training, licence="CC-BY-NC-SA-4.0", non_commercial=True)
    save_checkpoint(forbids, model, replace(header.card, training=terms))
    path = ship(free, "again", ["min_score=0.25"], {"zero_shot_pq": 0.5})
    assert path == tmp_path / "again.safetensors"
    card = read_header(path).card
    assert (card.name, card.inference.min_score, card.metrics) == ("again", 0.25, {"zero_shot_pq": 0.5})
    assert path.stat().st_size < 0.6 * free.stat().st_size
    assert verify(path) == []
    assert ship(forbids, "other", [], {}) == tmp_path / "research" / "other.safetensors"
    with torch.no_grad():
        model.prompter.out.bias += 1
    better = tmp_path / "better.safetensors"
    save_checkpoint(better, model, replace(header.card, training=replace(terms, data=("ours",))))
    shipped, header_of_both = load_model(ship(forbids, "other", [], {}, prompter=better))
    assert header_of_both.card.training.data == (*header.card.training.data, "ours")
    torch.testing.assert_close(shipped.prompter.out.bias, model.prompter.out.bias, rtol=1e-3, atol=1e-3)
    save_checkpoint(better, model, replace(header.card, mpp=0.5))
    with pytest.raises(ConfigError, match=r"0\.5 µm per pixel"):
        ship(forbids, "other", [], {}, prompter=better)
    with pytest.raises(ConfigError, match="already has this name"):
        ship(forbids, "again", [], {})
    save_checkpoint(forbids, model, replace(header.card, training=replace(terms, licence="CC-BY-4.0")))
    with pytest.raises(ConfigError, match="needed both to agree"):
        ship(forbids, "third", [], {})
    save_checkpoint(
        free, model, replace(header.card, training=replace(header.card.training, licence="unknown"))
    )
    with pytest.raises(ConfigError, match="licence 'unknown': .* covers CC-BY-4.0, CC0-1.0"):
        ship(free, "third", [], {})
    with pytest.raises(ConfigError, match="not a name for weights"):
        ship(forbids, "../third", [], {})
    norm = next(part for part in model.prompter.modules() if isinstance(part, torch.nn.BatchNorm2d))
    norm.running_var[0] = 1e6  # more than half precision holds
    save_checkpoint(free, model, header.card)
    with pytest.raises(ConfigError, match="half precision .* infinity"):
        ship(free, "third", [], {})
    assert {path.name for path in tmp_path.glob("**/*third*")} == set()
