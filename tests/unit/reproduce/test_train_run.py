from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from sac_wsi.errors import InputChanged, SacWsiError
from sac_wsi.reproduce import train_run as module
from sac_wsi.reproduce.experiment import Experiment
from sac_wsi.reproduce.inputs import Inputs
from sac_wsi.reproduce.scale import SMALL_SCALE
from sac_wsi.reproduce.train_run import finished_weights, refuse_changed_run, train_run
from sac_wsi.reproduce.training_config import train_config
from sac_wsi.settings.read import read_settings
from sac_wsi.settings.typed import build
from sac_wsi.train.config import TrainConfig
from sac_wsi.train.log import Listener
from sac_wsi.train.loop import TrainingResult
from sac_wsi.train.run_folder import claim_folder

SOURCE = SimpleNamespace(identity="these images")
UNET = Experiment("monuseg", "unet", "")


class Loop:
    """Stands in for training: so many calls until it is complete."""

    def __init__(self, calls=1):
        self.left, self.asked = calls, []

    def __call__(self, config, source, *, listener):
        self.left, out = self.left - 1, Path(config.output_dir)
        self.asked.append(config)
        out.mkdir(exist_ok=True)
        claim_folder(config)
        (out / "state.pt").write_text("state")
        (out / "best.safetensors").write_text("weights")
        return TrainingResult(out / "best.safetensors", self.left <= 0, 5, 1.0)


@pytest.fixture
def config(tmp_path):
    return train_config(UNET, SMALL_SCALE, Inputs(), tmp_path, {})


@pytest.fixture
def loop(monkeypatch):
    loop = Loop()
    monkeypatch.setattr(module, "train", loop)
    return loop


def test_what_is_finished_is_found_again(config, tmp_path, loop):
    best = train_run(config, SOURCE, Listener())
    assert best == tmp_path / UNET.name / "best.safetensors" == finished_weights(best.parent)
    assert sorted(path.name for path in best.parent.iterdir()) == [
        *("best.safetensors", "config.json", "finished.json")
    ]
    assert train_run(config, SOURCE, Listener()) == best
    assert len(loop.asked) == 1


def test_what_is_not_goes_on(config, loop):
    loop.left = 2
    with pytest.raises(SacWsiError, match="run the same command to go on"):
        train_run(config, SOURCE, Listener())
    train_run(config, SOURCE, Listener())
    assert len(loop.asked) == 2


def test_weights_that_were_removed_are_trained_again(config, loop):
    train_run(config, SOURCE, Listener()).unlink()
    train_run(config, SOURCE, Listener())
    assert len(loop.asked) == 2


def test_the_config_is_one_for_sac_wsi_train(config, loop):
    path = train_run(config, SOURCE, Listener()).with_name("config.json")
    assert build(TrainConfig, read_settings(path, ())) == config


def test_a_folder_of_another_config_is_refused(config, loop):
    refuse_changed_run(config, SOURCE)
    train_run(config, SOURCE, Listener())
    refuse_changed_run(config, SOURCE)
    other = replace(config, schedule=replace(config.schedule, batch=3))
    for refuse in (refuse_changed_run, lambda made, source: train_run(made, source, Listener())):
        with pytest.raises(InputChanged, match=r"was made with schedule\.batch 2, and it is 3 now.* --out"):
            refuse(other, SOURCE)
    refuse_changed_run(replace(config, schedule=replace(config.schedule, minutes=3)), SOURCE)


def test_a_folder_of_other_images_is_refused(config, loop):
    train_run(config, SOURCE, Listener())
    with pytest.raises(InputChanged, match="other images. Give another --out"):
        refuse_changed_run(config, SimpleNamespace(identity="others"))
