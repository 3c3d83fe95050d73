import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from sac_wsi.errors import ConfigError
from sac_wsi.geometry import Box
from sac_wsi.model.checkpoint.card import Card
from sac_wsi.model.checkpoint.file import load_model, save_checkpoint
from sac_wsi.model.checkpoint.inference import InferenceSettings
from sac_wsi.model.nets.over_prompter import Stem, nucleus_prior
from sac_wsi.model.nets.sac import build_model
from sac_wsi.model.nets.sizes import ModelSize, PrompterSize
from sac_wsi.model.nets.unet import UNet
from sac_wsi.model.predict.context import PersonPoints
from sac_wsi.model.predict.tiles import tile_nuclei
from sac_wsi.model.predict.torch_runner import arithmetic, make_torch_runner
from sac_wsi.nuclei.masks import labels_from_nuclei
from sac_wsi.testing import SyntheticSlide
from sac_wsi.tiling.segmenter import RgbTile
from sac_wsi.train.config import ObjectiveSettings
from sac_wsi.train.nucleus_prompts import sample_nucleus_prompts
from sac_wsi.train.objective import loss_of, make_training_batch

SIDE = 128
SIZE = ModelSize("sac", "vit_nano", SIDE, prompter=PrompterSize(width=4, maps=3), over_prompter=True)
SLIDE = SyntheticSlide(4, (SIDE, SIDE), density_per_mm2=16000, touching_fraction=0.4)


@pytest.fixture(scope="module")
def model_of_prompter():
    """Return an untrained SAC over a prompter that was trained for some seconds."""
    torch.manual_seed(0)
    model = build_model(SIZE)
    rng = np.random.default_rng(0)
    batch = make_training_batch([crop(SLIDE)], 3, 0, 0, rng)
    optimiser = torch.optim.AdamW(model.prompter.parameters(), lr=1e-2)
    for _ in range(60):
        terms = loss_of(model, batch, ObjectiveSettings(part="prompter"), InferenceSettings().in_pixels(0.25))
        optimiser.zero_grad()
        sum(terms.values()).backward()
        optimiser.step()
    return model.eval()


def crop(slide):
    box = Box.of_shape(slide.shape_yx)
    return slide.render(box), labels_from_nuclei(slide.truth(box), box)


def found_by(model, mode, person=None, **settings):
    rgb, _ = crop(SLIDE)
    runner = make_torch_runner(copy.deepcopy(model), "cpu", "float32")  # folds LoRA into the weights
    use = InferenceSettings(mode=mode, window_cells=0, **settings)
    tile = RgbTile(rgb, Box.of_shape(SLIDE.shape_yx))
    (nuclei,) = tile_nuclei(runner, use.in_pixels(0.5), person or PersonPoints(), [tile])
    return nuclei


@pytest.mark.parametrize("mode", ["instance", "semantic"])
@pytest.mark.parametrize("cut", [0.3, 0.5, 0.6])
def test_before_training_the_nuclei_are_those_of_the_prompter(model_of_prompter, mode, cut):
    expected = found_by(model_of_prompter, "prompter", mask_probability=cut)
    found = found_by(model_of_prompter, mode, mask_probability=cut, nms_iou=1.0)
    assert len(expected) > 6
    assert masks(found) == masks(expected)


def masks(nuclei):
    return {(*nuclei.box[i].tolist(), nuclei.mask(i).tobytes()) for i in range(len(nuclei))}


def test_training_changes_all_new_parts_and_not_the_prompter(model_of_prompter):
    model = build_model(SIZE)
    model.load_state_dict(model_of_prompter.state_dict())
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith("prompter."))
    model.train().prompter.eval()
    before = {name: value.clone() for name, value in model.prompter.state_dict().items()}
    learns = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learns, lr=3e-3)
    batch = make_training_batch([crop(SLIDE)], 3, 0, 0, np.random.default_rng(0))
    settings = ObjectiveSettings(part="sac", nuclei=16, mask_loss="dice_ce")
    history = []
    for _ in range(25):
        terms = loss_of(model, batch, settings, InferenceSettings(mode="instance").in_pixels(0.25))
        assert set(terms) == {"semantic", "iou", "instance"}
        optimiser.zero_grad()
        sum(terms.values()).backward()
        optimiser.step()
        history.append({name: float(value.detach()) for name, value in terms.items()})
    assert history[-1]["instance"] < history[0]["instance"]
    assert history[-1]["iou"] < history[0]["iou"]
    # the first step changes only the last layers; then all parts have a gradient
    slopes = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    for part in (
        "stem.",
        "image_encoder.blocks.0.attn",
        "prompt_encoder.mask_downscaling",
        "mask_decoder.tr",
    ):
        assert any(slope.any() for name, slope in slopes.items() if name.startswith(part)), part
    assert all(torch.equal(value, before[name]) for name, value in model.prompter.state_dict().items())


def test_a_prompt_without_a_nucleus_trains_only_the_score(model_of_prompter):
    rgb, labels = crop(SLIDE)
    batch = make_training_batch([(rgb, np.zeros_like(labels))], 3, 0, 0, np.random.default_rng(0))
    settings = ObjectiveSettings(part="sac", nuclei=16)
    terms = loss_of(model_of_prompter, batch, settings, InferenceSettings(mode="instance").in_pixels(0.25))
    assert set(terms) == {"semantic", "iou"}


@pytest.mark.parametrize("bf16", [False, True])
def test_windows_and_owners_of_a_batch(model_of_prompter, bf16):
    """With an empty crop first, each nucleus still belongs to its own crop and window."""
    rgb, labels = crop(SLIDE)
    nothing = np.full_like(rgb, 255), np.zeros_like(labels)
    settings = ObjectiveSettings(part="sac", nuclei=64, mask_loss="dice_ce")
    use = InferenceSettings(mode="instance", window_cells=8)

    def terms(*crops):
        batch = make_training_batch(list(crops), 3, 0, 0, np.random.default_rng(0))
        with torch.inference_mode(), arithmetic("cpu", bf16):
            found = loss_of(model_of_prompter, batch, settings, use.in_pixels(0.25))
        return {name: float(value) for name, value in found.items()}

    alone, second = terms((rgb, labels)), terms(nothing, (rgb, labels))
    assert second["instance"] == pytest.approx(alone["instance"], rel=0.02)
    assert alone["instance"] < 1  # the prompter already finds most nuclei


def test_a_nucleus_that_the_prompter_missed_gets_a_point(model_of_prompter):
    rgb, labels = crop(SLIDE)
    images = model_of_prompter.normalise(torch.from_numpy(rgb)[None].permute(0, 3, 1, 2))
    maps = model_of_prompter.maps(images).detach()
    blind = labels == np.bincount(labels[labels > 0]).argmax()
    maps[0, :, torch.from_numpy(blind)] = -8
    truth = torch.from_numpy(labels)[None]
    own = sample_nucleus_prompts(
        maps, truth, 99, InferenceSettings().in_pixels(0.25), np.random.default_rng(0)
    )
    (at,) = np.flatnonzero(own.true_id == labels[blind][0])
    x, y = own.centre_xy[at, 0].int().tolist()
    assert blind[y, x]
    assert own.basin[at] == own.basins[0, y, x]
    met = set(own.true_id.tolist())
    assert met >= set(np.unique(labels[labels > 0]).tolist())


def test_a_prompt_without_a_mask_prompt_uses_the_embedding_for_none(model_of_prompter):
    """There is one nucleus, on the second tile."""
    plain = build_model(replace(SIZE, over_prompter=False)).eval()
    rgb, labels = crop(SLIDE)
    one = np.where(labels == labels.max(), 1, 0).astype(np.int32)
    batch = make_training_batch([(rgb, np.zeros_like(one)), (rgb, one)], 3, 0, 1, np.random.default_rng(0))
    assert batch.owner.tolist() == [1]
    settings = ObjectiveSettings(part="sac", auto=False, nuclei=1)
    assert "instance" in loss_of(plain, batch, settings, InferenceSettings().in_pixels(0.25))


def test_the_stem_averages_over_patches():
    images = torch.randn(2, 3, 64, 64)
    _, features = UNet(4, 3).with_features(images)
    assert [each.shape[2] for each in features] == [8, 16, 32, 64]
    for patch_px in (8, 16, 4):
        stem = Stem(UNet(4, 3).feature_widths, patch_px, 12)
        used = [each for each in features if 64 // each.shape[2] <= patch_px]
        assert stem(features).shape == (2, 12, 64 // patch_px, 64 // patch_px)
        assert stem.project.in_channels == sum(each.shape[1] for each in used)
    with torch.no_grad():
        stem = Stem(UNet(4, 3).feature_widths, 8, 1)
        stem.project.weight.zero_()
        stem.project.bias.zero_()
        stem.project.weight[0, -1] = 1  # the last channel of the finest
        expected = features[-1][:, -1].unfold(1, 8, 8).unfold(2, 8, 8).mean(dim=(3, 4))
        torch.testing.assert_close(stem(features)[:, 0], expected)


def test_pixels_of_other_nuclei_have_low_logits():
    foreground = torch.tensor([[[3.0, 3.0, -1.0, 0.5]]])
    basins = torch.tensor([[[1, 2, 0, 2]]])
    prior = nucleus_prior(foreground, basins, torch.tensor([1, 2, 0]))
    assert prior[:, 0].tolist() == [[3.0, -5.0, -1.0, -2.5], [-5.0, 3.0, -1.0, 0.5], [-5.0, -5.0, -1.0, -2.5]]


def test_a_checkpoint_of_it_gives_the_same_embedding(model_of_prompter, tmp_path):
    card = Card(name="over", size=SIZE, mpp=0.5, mpp_range=(0.2, 0.6), halo_um=4.0)
    save_checkpoint(tmp_path / "m.safetensors", model_of_prompter, card)
    model, header = load_model(tmp_path / "m.safetensors")
    assert header.card.size.over_prompter
    images = torch.randn(1, 3, SIDE, SIDE)
    torch.testing.assert_close(model.encode(images), model_of_prompter.eval().encode(images))


def test_a_persons_click_is_a_prompt_too(model_of_prompter):
    """A point on a nucleus of the prompter gives that nucleus once."""
    expected = found_by(model_of_prompter, "instance", nms_iou=1.0)
    y, x = expected.anchor_yx[0].tolist()
    clicked = found_by(
        model_of_prompter, "instance", PersonPoints(np.array([[y, x]], np.int32), np.ones(1, bool))
    )
    assert masks(clicked) == masks(expected)


def test_over_prompter_needs_family_sac():
    with pytest.raises(ConfigError, match="over_prompter goes with family sac"):
        ModelSize("sam-ft", "vit_nano", 64, over_prompter=True)
