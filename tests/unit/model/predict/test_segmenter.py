import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from sac_wsi.errors import ConfigError
from sac_wsi.geometry import Box
from sac_wsi.model.checkpoint.card import Card
from sac_wsi.model.checkpoint.file import save_checkpoint
from sac_wsi.model.checkpoint.header import read_header
from sac_wsi.model.checkpoint.inference import InferenceSettings
from sac_wsi.model.nets.sac import SacModel, TileFeatures
from sac_wsi.model.predict.segmenter import SacSegmenter
from sac_wsi.model.predict.torch_runner import TorchRunner
from sac_wsi.model.predict.watershed import add_user_points, split_foreground
from sac_wsi.tiling.segmenter import RgbTile


@pytest.fixture
def make_segmenter(make_model, tmp_path):
    def make(mode="semantic", family="sac", maps=3, **settings):
        model = make_model(family, maps=maps)
        if model.prompter is not None:
            # half of the pixels on either side of the thresholds: something to prompt with
            with torch.no_grad():
                images = model.normalise(torch.from_numpy(pixels(64, 64)[None]).permute(0, 3, 1, 2))
                for channel, level in enumerate(model.maps(images).mean(dim=(0, 2, 3))):
                    model.prompter.out.bias[channel] -= level
        inference = InferenceSettings(mode=mode, min_area_um2=0.5, **settings)
        card = Card(
            name="nano", size=model.size, mpp=0.5, mpp_range=(0.2, 0.6), halo_um=4.0, inference=inference
        )
        path = tmp_path / f"{mode}-{family}.safetensors"
        save_checkpoint(path, model, card)
        return SacSegmenter(path, read_header(path), inference)

    return make


def pixels(height, width):
    """Return smooth pixels, so that a network with random weights finds regions."""
    coarse = np.random.default_rng(height).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return coarse.repeat(8, 0).repeat(8, 1)[:height, :width]


def tile(y=0, x=0, height=64, width=64):
    return RgbTile(pixels(height, width), Box(y, x, y + height, x + width))


MODES = ("semantic", "instance", "prompter")


def same(a, b):
    return all(
        np.array_equal(v, b.columns()[k], equal_nan=v.dtype.kind == "f") for k, v in a.columns().items()
    )


@pytest.mark.parametrize("mode", MODES)
def test_nuclei_of_a_tile_do_not_depend_on_the_other_tiles(make_segmenter, mode):
    segmenter = make_segmenter(mode)
    tiles = [tile(), tile(64, 64), tile(128, 0, 40, 64)]
    together = segmenter.segment(tiles)
    assert sum(len(nuclei) for nuclei in together) > 0
    for nuclei, each in zip(together, tiles, strict=True):
        assert same(nuclei, segmenter.segment([each])[0])
        assert same(nuclei, pickle.loads(pickle.dumps(segmenter)).segment([each])[0])  # noqa: S301


@pytest.mark.parametrize("mode", MODES)
def test_nuclei_lie_on_their_tile_also_at_the_edge_of_a_slide(make_segmenter, mode):
    at = tile(640, 320, 37, 23)
    found = make_segmenter(mode).segment([at])[0]
    assert len(found)
    assert (found.box[:, :2] >= [640, 320]).all()
    assert (found.box[:, 2:] <= [677, 343]).all()
    assert ((found.score >= 0) & (found.score <= 1)).all()


def test_shifting_a_tile_shifts_its_nuclei(make_segmenter):
    segmenter, here = make_segmenter("instance"), tile()
    there = RgbTile(here.rgb, Box(1000, 3000, 1064, 3064))
    a, b = segmenter.segment([here, there])
    np.testing.assert_array_equal(a.box, b.box - np.array([1000, 3000, 1000, 3000]))


@pytest.mark.parametrize(
    "options", [{"negatives": 2}, {"box_round": True}, {"multimask": True}, {"window_cells": 4}]
)
def test_options_of_the_instance_mode_change_the_nuclei(make_segmenter, options):
    at = tile()
    plain, other = (make_segmenter("instance", **some).segment([at])[0] for some in ({}, options))
    assert len(other)
    assert not same(plain, other)


def test_nuclei_do_not_depend_on_prompts_at_once(make_segmenter):
    at = tile()
    few = make_segmenter("instance", prompts_at_once=2).segment([at])[0]
    many = make_segmenter("instance", prompts_at_once=64).segment([at])[0]
    np.testing.assert_array_equal(few.box, many.box)


def test_without_prompts_instance_mode_finds_nothing_and_semantic_mode_decodes(make_segmenter):
    at = tile()
    assert len(make_segmenter("instance", family="sam").segment([at])[0]) == 0
    probability_above = make_segmenter("semantic", family="sam", mask_probability=0.0)
    assert len(probability_above.segment([at])[0]) == 1


def test_positive_points_add_nuclei_and_negative_points_remove_them(make_segmenter):
    at = tile(100, 200)
    segmenter = make_segmenter("instance", family="sam")
    asked = segmenter.with_points(np.array([[130, 230]]), np.array([True]))
    found = asked.segment([at])[0]
    assert len(found) == 1
    assert len(asked.segment([tile(500, 500)])[0]) == 0
    inside = np.argwhere(found.mask(0))[0] + found.box[0, :2]
    points = np.array([[130, 230], inside])
    vetoed = segmenter.with_points(points, np.array([True, False]))
    assert len(vetoed.segment([at])[0]) == 0
    assert len({s.fingerprint for s in (segmenter, asked, vetoed)}) == 3


def test_points_on_the_rims_of_a_tile(make_segmenter):
    at = tile(100, 200)
    for mode in ("semantic", "instance", "prompter"):
        for y, x in ((100, 200), (163, 263), (164, 264), (99, 199), (163, 200)):
            asked = make_segmenter(mode).with_points(np.array([[y, x]]), np.array([True]))
            asked.segment([at])


def test_a_click_on_a_nucleus_that_was_found_does_not_split_it():
    y, x = np.mgrid[:64, :64]
    maps = ((y - 30) ** 2 + (x - 30) ** 2 < 15**2).astype(np.float32)[None]
    centre = np.array([[30, 30]], np.int32)
    for click in ([30, 30], [37, 30], [30, 43], [20, 22]):
        seeds = add_user_points(centre, np.array([click], np.int32), maps)
        assert seeds.tolist() == [click]
    assert len(add_user_points(centre, np.array([[60, 60]], np.int32), maps)) == 2


def test_a_click_is_a_seed_in_prompter_mode(make_segmenter):
    segmenter, at = make_segmenter("prompter"), tile()
    plain = segmenter.segment([at])[0]
    large = int(np.argmax(plain.area_px))
    inside = np.argwhere(plain.mask(large)) + plain.box[large, :2]
    clicks = inside[[0, -1]]
    asked = segmenter.with_points(clicks, np.array([True, True])).segment([at])[0]
    assert not same(plain, asked)


def test_the_fingerprint_depends_on_the_card(make_segmenter):
    segmenter = make_segmenter("instance")
    for change in ({"mpp": 0.4}, {"pixel_std": (1.0, 1.0, 1.0)}):
        header = replace(segmenter.header, card=replace(segmenter.header.card, **change))
        assert replace(segmenter, header=header).fingerprint != segmenter.fingerprint
    assert replace(segmenter, precision="bf16").fingerprint != segmenter.fingerprint


def test_the_fingerprint_depends_on_weights_and_settings(make_segmenter):
    segmenter = make_segmenter("instance")
    other = replace(segmenter, settings=replace(segmenter.settings, nms_iou=0.3))
    assert segmenter.fingerprint != other.fingerprint
    assert segmenter.fingerprint == make_segmenter("instance").fingerprint


def test_a_tile_larger_than_those_of_the_model_is_refused(make_segmenter):
    with pytest.raises(ConfigError, match=r"65 x 64 pixels; this model takes 64"):
        make_segmenter("semantic").segment([tile(0, 0, 65, 64)])


def test_modes_that_a_model_does_not_have_are_refused(make_segmenter):
    with pytest.raises(ConfigError, match="prompter alone"):
        make_segmenter("instance", family="unet")
    with pytest.raises(ConfigError, match="no prompter"):
        make_segmenter("prompter", family="sam")


def test_cuda_without_a_device_is_refused(make_segmenter):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(ConfigError, match="device is cuda"):
        replace(make_segmenter("semantic"), device="cuda").segment([tile()])


@pytest.mark.parametrize("mode", ["semantic", "prompter"])
def test_bf16_finds_nearly_the_same(make_segmenter, mode):
    at, segmenter = tile(), make_segmenter(mode)
    plain = segmenter.segment([at])[0]
    mixed = replace(segmenter, precision="bf16").segment([at])[0]
    assert plain.area_px.sum() == pytest.approx(mixed.area_px.sum(), rel=0.1)


def test_prompter_mode_does_not_run_the_encoder(make_segmenter, monkeypatch):
    segmenter = make_segmenter("prompter")
    expected = segmenter.segment([tile()])
    monkeypatch.setattr(SacModel, "_encode", None)
    assert same(segmenter.segment([tile()])[0], expected[0])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_averaged_maps_turn_with_the_tile(make_model, mode, quarters, mirrored):
    def turned(image):
        image = np.rot90(image, quarters)
        return np.ascontiguousarray(image[:, ::-1] if mirrored else image)

    runner = TorchRunner(make_model(maps=3), "cpu", False)
    rgb = pixels(64, 64)
    settings = InferenceSettings(mode=mode, tta=8)
    (straight,), (moved,) = (runner.features([image], settings) for image in (rgb, turned(rgb)))
    for one, other in zip(straight.maps, moved.maps, strict=True):
        np.testing.assert_allclose(other, turned(one), atol=1e-5)


def test_two_views_are_a_tile_and_its_half_turn(make_model):
    runner, rgb = TorchRunner(make_model(maps=3), "cpu", False), pixels(64, 64)

    def maps(image, views):
        [found] = runner.features(
            [np.ascontiguousarray(image)], InferenceSettings(mode="prompter", tta=views)
        )
        return found.maps

    turned = np.rot90(maps(np.rot90(rgb, 2), 1), 2, (1, 2))
    np.testing.assert_allclose(maps(rgb, 2), (maps(rgb, 1) + turned) / 2, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("offset_yx", [(0.0, 0.0), (2.0, 0.0), (-1.0, -3.0)])
def test_views_of_a_model_trained_on_labels_with_an_offset(make_model, monkeypatch, offset_yx, precision):
    """The offset of its maps is the same however a tile is turned."""

    def beside(self, images, embed=True):
        return TileFeatures(None, images[:, :1].roll([int(off) for off in offset_yx], (2, 3)))

    monkeypatch.setattr(SacModel, "forward_features", beside)
    runner, rgb = TorchRunner(make_model(maps=1), "cpu", precision == "bf16"), pixels(64, 64)
    alone, averaged, blurred = (
        runner.features([rgb], InferenceSettings(mode="prompter", tta=views, label_offset_yx=offset))[0].maps
        for views, offset in ((1, offset_yx), (8, offset_yx), (8, (0.0, 0.0)))
    )
    inner = np.s_[:, 8:-8, 8:-8]
    np.testing.assert_allclose(averaged[inner], alone[inner], atol=1e-4)
    assert np.allclose(blurred[inner], alone[inner], atol=1e-2) == (not any(offset_yx))


@pytest.mark.parametrize("views", [0, 9])
def test_wrong_numbers_of_views_are_refused(views):
    with pytest.raises(ConfigError, match="needed at least 1 and at most 8"):
        InferenceSettings(tta=views)


def test_averaged_maps_change_nuclei_and_fingerprint(make_segmenter):
    alone, averaged = make_segmenter("prompter"), make_segmenter("prompter", tta=8)
    assert alone.fingerprint != averaged.fingerprint
    assert not same(alone.segment([tile()])[0], averaged.segment([tile()])[0])


def test_touching_nuclei_are_cut_along_the_valley_of_the_boundary_map():
    """Only the boundary map shows where two nuclei touch."""
    maps = np.zeros((3, 20, 40), np.float32)
    maps[0, 4:16, 4:36] = 1
    maps[2, 4:16, 4:36] = 1
    maps[2, 4:16, 11] = 0  # far from the middle between the seeds
    seeds = np.array([[10, 8], [10, 30]], np.int32)
    settings = InferenceSettings(mode="prompter").in_pixels(0.5)
    found = split_foreground(maps[0], maps, seeds, (0, 0), settings)
    assert sorted(found.box[:, 1].tolist()) in ([4, 11], [4, 12])


def test_nuclei_of_low_probability_are_left_out():
    maps = np.zeros((3, 20, 40), np.float32)
    maps[0, 4:12, 4:12], maps[0, 4:12, 24:32] = 0.9, 0.55
    seeds = np.array([[8, 8], [8, 28]], np.int32)

    def found(**chosen):
        settings = InferenceSettings(mode="prompter", **chosen).in_pixels(0.5)
        return len(split_foreground(maps[0], maps, seeds, (0, 0), settings))

    assert (found(), found(min_probability=0.6), found(min_score=0.6)) == (2, 1, 2)
