"""OpenVINO against PyTorch, the reference; and that its nuclei depend on nothing else than the tile."""

import numpy as np
import pytest
import torch

from sac_wsi.errors import CheckpointError
from sac_wsi.geometry import Box
from sac_wsi.model.checkpoint.card import Card
from sac_wsi.model.checkpoint.file import save_checkpoint
from sac_wsi.model.checkpoint.header import read_header
from sac_wsi.model.checkpoint.inference import InferenceSettings
from sac_wsi.model.nets.sac import build_model
from sac_wsi.model.nets.sizes import ModelSize, PrompterSize
from sac_wsi.model.predict.openvino_runner import make_openvino_runner
from sac_wsi.model.predict.segmenter import SacSegmenter
from sac_wsi.model.predict.torch_runner import make_torch_runner
from sac_wsi.system.processor import computes_bf16
from sac_wsi.tiling.segmenter import RgbTile

SIDE = 96
SIZES = [PrompterSize(4, 3), PrompterSize(4, 1), PrompterSize(8, 3, "lite0"), PrompterSize(8, 5, "lite0", 2)]


def a_model(prompter):
    """A model whose batch norms are not trivial."""
    torch.manual_seed(1)
    model = build_model(ModelSize("unet", tile_px=SIDE, prompter=prompter)).eval()
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(part.running_mean, std=0.1)
            torch.nn.init.uniform_(part.running_var, 0.7, 1.4)
            torch.nn.init.uniform_(part.weight, 0.7, 1.4)
    return model


@pytest.fixture
def saved(tmp_path):
    def save(prompter, **card):
        model, path = a_model(prompter), tmp_path / "m.safetensors"
        inference = InferenceSettings(mode="prompter", min_area_um2=0.5)
        save_checkpoint(path, model, Card("m", model.size, 0.5, (0.2, 0.6), inference=inference, **card))
        return model, path, read_header(path)

    return save


def smooth(height, width, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return coarse.repeat(8, 0).repeat(8, 1)[:height, :width]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("views", [1, 2, 8])
@pytest.mark.parametrize("offset_yx", [(0.0, 0.0), (-0.75, -0.4)])
def test_its_maps_are_those_of_pytorch(saved, size, views, offset_yx):
    model, path, header = saved(size)
    settings = InferenceSettings(mode="prompter", tta=views, label_offset_yx=offset_yx)
    tiles = [smooth(SIDE, SIDE), smooth(40, 70)]
    expected = [make_torch_runner(model, "cpu", "float32").features([tile], settings)[0] for tile in tiles]
    found = make_openvino_runner(path, header, "float32").features(tiles, settings)
    for one, other in zip(found, expected, strict=True):
        assert one.maps.dtype == np.float32
        assert one.maps.std() > 0.01
        np.testing.assert_allclose(one.maps, other.maps, atol=1e-4)


def test_the_cards_normalisation_is_used(saved):
    model, path, header = saved(PrompterSize(4, 1), pixel_mean=(100.0, 110.0, 120.0), pixel_std=(20, 30, 40))
    model.use_pixels((100.0, 110.0, 120.0), (20, 30, 40))
    settings = InferenceSettings(mode="prompter")
    expected = make_torch_runner(model, "cpu", "float32").features([smooth(SIDE, SIDE)], settings)[0].maps
    found = make_openvino_runner(path, header, "float32").features([smooth(SIDE, SIDE)], settings)[0].maps
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_nuclei_do_not_depend_on_threads_or_on_other_tiles(saved, precision, monkeypatch):
    if precision == "bf16" and not computes_bf16():
        pytest.skip("this CPU does not compute in bf16")
    _, path, header = saved(PrompterSize(8, 3, "lite0"))
    settings = header.card.inference
    tiles = [smooth(SIDE, SIDE, seed) for seed in range(5)]
    maps = []
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        runner = make_openvino_runner(path, header, precision)
        maps.append(runner.map(lambda some, runner=runner: runner.features(some, settings), tiles))
    maps.append(runner.features(tiles[::-1], settings)[::-1])
    for others in maps[1:]:
        for one, other in zip(maps[0], others, strict=True):
            np.testing.assert_array_equal(one.maps, other.maps)


def test_the_engine_is_part_of_the_fingerprint(saved):
    _, path, header = saved(PrompterSize(4, 3))
    slow, fast = (
        SacSegmenter(path, header, header.card.inference, engine=engine) for engine in ("torch", "openvino")
    )
    assert slow.fingerprint != fast.fingerprint
    tile = RgbTile(smooth(SIDE, SIDE), Box(0, 0, SIDE, SIDE))
    assert len(fast.segment([tile])[0]) == len(slow.segment([tile])[0]) > 0


def test_damaged_weights_are_refused(saved):
    _, path, header = saved(PrompterSize(4, 3))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="wrong SHA-256"):
        make_openvino_runner(path, header, "float32")


def test_weights_that_are_not_numbers_are_refused(saved, tmp_path):
    model, _, header = saved(PrompterSize(4, 3))
    with torch.no_grad():
        model.prompter.out.bias[0] = float("nan")
    save_checkpoint(tmp_path / "nan", model, header.card)
    with pytest.raises(CheckpointError, match="NaN or infinity in prompter.out.bias"):
        make_openvino_runner(tmp_path / "nan", read_header(tmp_path / "nan"), "float32")
