from dataclasses import replace
from pathlib import Path

import pytest

from sac_wsi.errors import ConfigError
from sac_wsi.reproduce.experiment import Experiment
from sac_wsi.reproduce.inputs import Inputs, Place
from sac_wsi.reproduce.scale import PAPER_SCALE, SMALL_SCALE
from sac_wsi.reproduce.tables import TARGETS
from sac_wsi.reproduce.training_config import data_settings, read_overrides, train_config
from sac_wsi.settings.read import read_settings
from sac_wsi.settings.typed import build
from sac_wsi.train.config import TrainConfig

OUT = Path("out")
INPUTS = Inputs(
    data={
        "monuseg": Place(Path("/m/images"), Path("/m/labels")),
        "dsb": Place(Path("/dsb.zip")),
        "glas": Place(Path("/g")),
    },
    sam={name: Path(f"/{name}.pth") for name in ("vit_b", "vit_l", "vit_h")},
)
SAC = Experiment("monuseg", "sac", "vit_h", "R", 1, 3, "dice_ce")


def config(run, scale=PAPER_SCALE, inputs=INPUTS, *overrides):
    return train_config(scale.of(run), scale, inputs, OUT, read_overrides(overrides))


def learning_runs():
    rows = (row for made in TARGETS.values() for row in made.rows)
    return dict.fromkeys(row.run for row in rows if row.run and row.run.learns)


def test_the_config_trains_what_the_row_says():
    made = config(SAC)
    assert (made.size.family, made.size.encoder, made.size.tile_px) == ("sac", "vit_h", 1024)
    assert (made.base, made.name, made.output_dir) == ("/vit_h.pth", SAC.name, f"out/{SAC.name}")
    assert (made.data.kind, made.data.images, made.data.labels) == ("monuseg", "/m/images", "/m/labels")
    objective = made.objective
    assert (objective.part, objective.mask_loss, objective.auto, objective.experts) == (
        "both",
        "dice_ce",
        True,
        3,
    )
    assert objective.nuclei == 0
    points = made.inference.points
    assert (made.inference.mode, points.mode, points.positive, points.negative) == ("semantic", "R", 1, 1)
    assert (made.schedule.patience, made.schedule.best_by) == (10, "dice")
    assert made.schedule.epochs >= 30


def test_the_unet_is_the_prompter_alone():
    made = config(Experiment("glas", "unet", ""))
    assert (made.objective.part, made.inference.mode, made.base) == ("prompter", "prompter", "")
    assert made.size.prompter.width == 32


def test_rows_without_automatic_points_do_not_learn_from_them():
    assert not config(Experiment("dsb", "sam-ft", "vit_h", "", 0, 1, "focal_dice")).objective.auto


@pytest.mark.parametrize("scale", [PAPER_SCALE, SMALL_SCALE], ids=["paper", "small"])
@pytest.mark.parametrize("inputs", [Inputs(), INPUTS], ids=["nothing", "everything"])
def test_every_run_has_a_config(scale, inputs):
    digests = {str(config(run, scale, inputs)) for run in learning_runs()}
    assert len(digests) == len({scale.of(run) for run in learning_runs()})


def test_images_are_brought_to_the_size_of_a_tile():
    assert config(SAC).mpp == 0.25
    assert config(Experiment("glas", "unet", "")).mpp == 0.62
    assert {config(run).data.scale for run in learning_runs()} == {"fit"}


@pytest.mark.parametrize("dataset", ["monuseg", "dsb", "glas"])
def test_what_is_ours_is_as_in_the_configs(dataset):
    """One recipe for SAC, whether by `sac-wsi train` or here."""
    path = Path(__file__).parents[3] / "configs" / "train" / f"sac_{dataset}.yaml"
    expected = build(TrainConfig, read_settings(path, ()))
    made = config(replace(SAC, dataset=dataset, experts=0, mask_loss="focal_dice"))
    assert made.schedule == expected.schedule
    assert made.objective == expected.objective
    assert made.inference.points == expected.inference.points
    assert (made.size, made.mpp, made.augment) == (expected.size, expected.mpp, expected.augment)


def test_at_small_scale_images_are_made_unless_given():
    assert data_settings("dsb", SMALL_SCALE, Inputs(), {}).kind == "synthetic"
    assert data_settings("dsb", SMALL_SCALE, INPUTS, {}).images == "/dsb.zip"
    assert config(SAC, SMALL_SCALE).base == ""


def test_what_is_ours_can_be_set():
    made = config(SAC, PAPER_SCALE, INPUTS, "schedule.batch=4", "data.val_share=0.1", "objective.seed=3")
    assert (made.schedule.batch, made.data.val_share, made.objective.seed) == (4, 0.1, 3)
    assert made.objective.experts == 3


@pytest.mark.parametrize(
    "override",
    [
        *("size.tile_px=512", "base=x", "mpp=0.5", "name=x", "output_dir=x"),
        *("objective.experts=1", "objective.mask_loss=dice_ce", "data.images=x", "inference.mode=instance"),
        "inference.points={positive: 3}",
    ],
)
def test_what_the_row_decides_cannot(override):
    with pytest.raises(ConfigError, match="the row decides that. What can be set: augment"):
        read_overrides([override])


def test_typos():
    with pytest.raises(ConfigError, match=r"Did you mean schedule\.batch\?"):
        config(SAC, PAPER_SCALE, INPUTS, "schedule.bach=4")
    with pytest.raises(ConfigError, match="needed a whole number"):
        config(SAC, PAPER_SCALE, INPUTS, "schedule.batch=many")
    with pytest.raises(ConfigError, match="section"):
        config(SAC, PAPER_SCALE, INPUTS, "schedule=3")
