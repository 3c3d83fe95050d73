"""A small checkpoint from training to polygons, with every real part."""

import hashlib
import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from sac_wsi import Run, load_config, segment_slide
from sac_wsi.errors import CheckpointError, ConfigError, RequestError
from sac_wsi.geometry import Box
from sac_wsi.model.checkpoint.card import Card, Training
from sac_wsi.model.checkpoint.file import save_checkpoint
from sac_wsi.model.checkpoint.inference import InferenceSettings
from sac_wsi.model.nets.sac import build_model, to_tile
from sac_wsi.model.nets.sam import build_sam
from sac_wsi.model.nets.sizes import ModelSize, PrompterSize
from sac_wsi.model.points.target_maps import target_maps
from sac_wsi.nuclei.label_maps import region_centres
from sac_wsi.nuclei.masks import labels_from_nuclei
from sac_wsi.testing import SyntheticSlide
from sac_wsi.train.losses import dice_ce_loss, prompter_loss
from sac_wsi.verify.check_run import verify_run

TILE_PX = 128
MPP = 0.5
SLIDE = SyntheticSlide(seed=11, shape_yx=(420, 500), mpp=MPP, density_per_mm2=3000)


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoints") / "slide.tiff"
    SLIDE.write_tiff(path)
    return path


@pytest.fixture(scope="module")
def model():
    """Return a SAC whose parts are all trained, from random weights, on other synthetic slides."""
    torch.manual_seed(0)
    model = build_model(ModelSize("sac", "vit_nano", TILE_PX, prompter=PrompterSize(width=8, maps=3)))
    optimiser = torch.optim.AdamW(model.requires_grad_().parameters(), lr=3e-3)
    for step in range(110):
        loss = loss_of(model, replace(SLIDE, seed=100 + step, shape_yx=(256, 256)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def loss_of(model, slide):
    """Return the loss of the maps, of masks of some nuclei from their centres, and of the semantic mask."""
    boxes = [Box(y, x, y + TILE_PX, x + TILE_PX) for y in (0, TILE_PX) for x in (0, TILE_PX)]
    labels = [labels_from_nuclei(slide.truth(box), box) for box in boxes]
    pixels = torch.from_numpy(np.stack([slide.render(box) for box in boxes]))
    images = model.normalise(pixels.permute(0, 3, 1, 2))
    maps = torch.from_numpy(np.stack([target_maps(each) for each in labels]))
    some = [(i, y, x) for i, each in enumerate(labels) for y, x in region_centres(each > 0)[:8]]
    masks = torch.from_numpy(np.stack([labels[i] == labels[i][y, x] for i, y, x in some])).float()
    xy = torch.tensor([[[float(x), float(y)]] for _, y, x in some])
    embedding = model.encode(images)
    logits, _ = model.decode(embedding[[i for i, _, _ in some]], xy, torch.ones(len(some), 1))
    found = to_tile(logits[:, :1], TILE_PX)
    all_xy, kinds = torch.zeros(len(boxes), 8, 2), -torch.ones(len(boxes), 8)
    for i in range(len(boxes)):
        here = xy[[k for k, each in enumerate(some) if each[0] == i], 0]
        all_xy[i, : len(here)], kinds[i, : len(here)] = here, 1
    logits, _ = model.decode(embedding, all_xy, kinds)
    foreground = dice_ce_loss(to_tile(logits[:, :1], TILE_PX), maps[:, :1])
    return prompter_loss(model.maps(images), maps) + dice_ce_loss(found, masks[:, None]) + foreground


@pytest.fixture(scope="module")
def card(model):
    return Card(
        name="nano",
        size=model.size,
        mpp=MPP,
        mpp_range=(0.2, 0.6),
        halo_um=14.0,
        inference=InferenceSettings(mode="prompter", min_area_um2=4.0),
    )


@pytest.fixture(scope="module")
def checkpoint(model, card, slide):
    path = slide.with_name("nano.safetensors")
    save_checkpoint(path, model, card)
    return path


@pytest.mark.parametrize(("mode", "dice"), [("prompter", 0.8), ("instance", 0.5)])
def test_a_trained_model_finds_the_nuclei(slide, checkpoint, tmp_path, mode, dice):
    settings = [f"model={json.dumps(str(checkpoint))}", "tissue=none", f"sac.mode={mode}"]
    config = load_config(overrides=settings)
    run = segment_slide(slide, tmp_path / "n.geojson", config=config)
    assert verify_run(run.store).ok
    truth = SLIDE.truth(Box.of_shape(SLIDE.shape_yx))
    want, got = labels_from_nuclei(truth, SLIDE.box) > 0, np.asarray(run.labels()) > 0
    assert 2 * (want & got).sum() / (want.sum() + got.sum()) > dice
    assert len(run.nuclei["score"]) == pytest.approx(len(truth), rel=0.3)
    assert run.provenance["model"]["name"] == "nano"
    assert run.provenance["manifest"]["config"]["grid"]["tile_px"] == TILE_PX


@pytest.mark.parametrize("mode", ["prompter", "semantic", "instance"])
def test_nuclei_do_not_depend_on_blocks_batches_and_workers(slide, checkpoint, tmp_path, mode):
    fine, coarse = ("grid.block_tiles=1", "batch_tiles=1"), ("grid.block_tiles=3", "batch_tiles=5")
    cuts = [(fine, 1), (coarse, 1), (coarse, 2)]
    outputs = set()
    for i, (cut, workers) in enumerate(cuts if mode == "instance" else cuts[:2]):
        settings = [f"model={json.dumps(str(checkpoint))}", "tissue=none", f"sac.mode={mode}", *cut]
        (tmp_path / str(i)).mkdir()
        out = tmp_path / str(i) / "n.geojson"
        run = segment_slide(slide, out, config=load_config(overrides=settings), workers=workers)
        outputs.add(out.read_bytes() + run.nuclei["score"].tobytes())
    assert len(outputs) == 1
    assert len(outputs.pop()) > 1000


def test_the_command(sac, slide, checkpoint, tmp_path):
    args = ("segment", slide, "--out", "n.geojson", "--model", checkpoint, "--tissue", "none")
    done = sac(*args, "--json", cwd=tmp_path).went_well()
    assert done.json["nuclei"] > 50
    assert sac("verify", "n.geojson", cwd=tmp_path).went_well()
    (tmp_path / "n.geojson").unlink()
    changed = sac(*args, "--set", "sac.min_area_um2=30", cwd=tmp_path)
    changed.refused("config.sac.min_area_um2 was None, now 30")
    averaged = sac(*args[:3], "tta.geojson", *args[4:], "--tta", cwd=tmp_path).went_well()
    assert "nuclei" in averaged.out
    assert (tmp_path / "tta.geojson").exists()
    sac("segment", slide, "--out", "c.geojson", "--tta", "--model", "classical", cwd=tmp_path).refused(
        "--tta", "--model is classical"
    )
    described = sac("models", "describe", checkpoint, "--json", cwd=tmp_path).went_well().json
    assert described["size"]["family"] == "sac"
    sac("models", "verify", checkpoint, cwd=tmp_path).went_well()


def test_weights_for_non_commercial_use_give_a_warning(sac, slide, model, card, tmp_path):
    """It is on stderr, in the summary, in the store and in the list of models, also in a second run."""
    models = tmp_path / "models"
    models.mkdir()
    training = Training(("monuseg",), licence="CC-BY-NC-SA-4.0", non_commercial=True)
    save_checkpoint(models / "nano.safetensors", model, replace(card, training=training))
    here = {**os.environ, "SAC_WSI_MODELS": str(models)}
    args = ("segment", slide, "--out", "n.geojson", "--model", "nano", "--tissue", "none")
    for _ in range(2):
        done = sac.fresh(*args, "--json", cwd=tmp_path, env=here).went_well()
        warning = "the weights of nano are for non-commercial use only (CC-BY-NC-SA-4.0)"
        assert f"warning: {warning}" in done.err
        assert warning in done.json["warnings"]
    stored = Run(tmp_path / "n.zarr").provenance["model"]
    assert (stored["licence"], stored["non_commercial"]) == ("CC-BY-NC-SA-4.0", True)
    listed = sac.fresh("models", "list", cwd=tmp_path, env=here).went_well().out
    assert "CC-BY-NC-SA-4.0 present, non-commercial" in listed


def test_a_persons_points(sac, slide, checkpoint, tmp_path):
    """If the prompter gives no points, only the nucleus at the user's point is found."""
    anchors = SLIDE.truth(SLIDE.box).anchor_yx
    # in the core of the first tile, outside all other tiles
    y, x = next(yx for yx in anchors.tolist() if all(8 < v < 40 for v in yx))
    features = [
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [x, y]}, "properties": {}},
        {
            "type": "Feature",
            "geometry": {"type": "MultiPoint", "coordinates": [[350, 360], [351, 361]]},
            "properties": {"classification": {"name": "Negative"}},
        },
    ]
    points = tmp_path / "p.geojson"
    points.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    args = ("segment", slide, "--model", checkpoint, "--tissue", "none", "--points", "p.geojson")
    blind = ("--set", "sac.mode=instance", "--set", "sac.centres.foreground=0.9999")
    done = sac(*args, "--out", "n.geojson", *blind, "--json", cwd=tmp_path).went_well()
    assert done.json["nuclei"] == 1
    features[0]["geometry"]["coordinates"] = [2000, 100]
    points.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    sac(*args, "--out", "m.geojson", cwd=tmp_path).refused("1 of 3 points", "x 2000")
    points.write_text('{"type": "Polygon", "coordinates": []}')
    sac(*args, "--out", "m.geojson", cwd=tmp_path).refused("needed Points")
    sac("segment", slide, "--out", "m.geojson", "--points", "p.geojson", cwd=tmp_path).refused("p.geojson")


def test_settings_and_models_that_do_not_fit_are_refused(slide, checkpoint, tmp_path):
    def run(*overrides, mpp=None, model=checkpoint):
        settings = [f"model={json.dumps(str(model))}", *overrides]
        segment_slide(slide, tmp_path / "n.geojson", config=load_config(overrides=settings), mpp=mpp)

    with pytest.raises(ConfigError, match=r"0\.7 µm per pixel; nano was made for 0\.2 to 0\.6"):
        run(mpp=0.7)
    with pytest.raises(ConfigError, match=r"takes tiles of 128"):
        run("grid.tile_px=512")
    with pytest.raises(ConfigError, match=r"sac\.way is now sac\.mode"):
        run("sac.way=semantic")
    with pytest.raises(ConfigError, match=r"Did you mean sac\.min_area_um2"):
        run("sac.min_area_um=3")
    with pytest.raises(ConfigError, match="MOST_POINTS|256"):
        run("sac.points.positive=300")
    with pytest.raises(CheckpointError, match="does not exist"):
        run(model=tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="does not exist"):
        run(model=tmp_path / "sam.pth")
    with pytest.raises(ConfigError, match="Did you mean classical"):
        run(model="clasical")
    with pytest.raises(RequestError, match=r"none\.geojson cannot be read"):
        run(f"points={json.dumps(str(tmp_path / 'none.geojson'))}")
    assert not list(tmp_path.iterdir())


def test_damaged_weights_are_refused_before_anything_is_written(slide, model, card, tmp_path):
    bad = tmp_path / "bad.safetensors"
    save_checkpoint(bad, model, card)
    content = bytearray(bad.read_bytes())
    content[-4:] = b"\xff\xff\xff\xff"
    bad.write_bytes(content)
    config = load_config(overrides=[f"model={json.dumps(str(bad))}"])
    with pytest.raises(CheckpointError, match="not those that were written"):
        segment_slide(slide, tmp_path / "n.geojson", config=config)
    assert list(tmp_path.iterdir()) == [bad]


def test_a_checkpoint_of_trained_weights_needs_the_file_of_sam(slide, model, card, tmp_path):
    torch.manual_seed(1)
    sam = build_sam("vit_nano", TILE_PX)
    torch.save(sam.state_dict(), tmp_path / "sam.pth")
    sha = hashlib.sha256((tmp_path / "sam.pth").read_bytes()).hexdigest()
    small = tmp_path / "small.safetensors"
    save_checkpoint(small, model, replace(card, kind="trained", base="sam_vit_b", base_sha256=sha))
    settings = [f"model={json.dumps(str(small))}", "tissue=none", "sac.mode=semantic"]
    with pytest.raises(CheckpointError, match=r"run `sac-wsi models fetch sam_vit_b`"):
        segment_slide(slide, tmp_path / "n.geojson", config=load_config(overrides=settings))
    settings.append(f"sam_checkpoint={json.dumps(str(tmp_path / 'sam.pth'))}")
    run = segment_slide(slide, tmp_path / "n.geojson", config=load_config(overrides=settings))
    assert run.provenance["manifest"]["model"]["name"] == "nano"


def test_sam_itself_with_the_users_points(slide, tmp_path):
    """Zero-shot: Meta's file as it is, at the size of our smallest encoder."""
    torch.manual_seed(2)
    torch.save(build_sam("vit_nano", 512).state_dict(), tmp_path / "sam.pth")
    (tmp_path / "p.geojson").write_text('{"type": "MultiPoint", "coordinates": [[200, 100], [350, 300]]}')
    files = {"model": tmp_path / "sam.pth", "points": tmp_path / "p.geojson"}
    settings = [*(f"{key}={json.dumps(str(file))}" for key, file in files.items()), "tissue=none"]
    for mode in ("semantic", "instance"):
        out = tmp_path / mode / "n.geojson"
        out.parent.mkdir()
        run = segment_slide(slide, out, config=load_config(overrides=[*settings, f"sac.mode={mode}"]))
        assert run.provenance["model"]["name"] == "sam"
    torch.save({"a": torch.zeros(1)}, tmp_path / "sam.pth")
    with pytest.raises(CheckpointError, match="width -1 and depth 0"):
        segment_slide(slide, tmp_path / "m.geojson", config=load_config(overrides=settings))
