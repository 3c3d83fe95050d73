"""RunCache that nobody had to train for."""

import math

import numpy as np
import pytest

from sac_wsi.evaluate.metrics import score_image, summarise
from sac_wsi.reproduce.inputs import Available
from sac_wsi.reproduce.result_table import make_result_table
from sac_wsi.reproduce.results import RunResult
from sac_wsi.reproduce.run_table import run_table
from sac_wsi.reproduce.tables import target

LABELS = np.kron(np.arange(12).reshape(3, 4), np.ones((6, 7), int))


def scores_of(shift, images=4):
    """The better, the smaller the shift."""
    return summarise(
        [
            score_image(LABELS, np.roll(LABELS, shift + i % 2, axis=1), name=f"image {i}")
            for i in range(images)
        ]
    )


def curve_of(best, speed):
    return tuple((float(epoch), best * (1 - math.exp(-speed * epoch))) for epoch in range(1, 31))


class Trainer:
    """Remembers what it was asked to train; each run is a little worse than the one before."""

    def __init__(self):
        self.asked = []

    def __call__(self, row):
        self.asked.append(row.run)
        n = len(self.asked)
        return RunResult(
            scores=scores_of(n % 4),
            seconds_per_epoch=10.0 + n,
            train_minutes=2.5 if row.run.learns else None,
            checkpoint=f"runs/{row.run.name}/best.safetensors",
            dice_curve=curve_of(0.9 - 0.01 * n, 0.1 * n) if row.run.learns else (),
        )


@pytest.fixture
def make_scores():
    return scores_of


@pytest.fixture
def trainer():
    return Trainer()


@pytest.fixture
def everything():
    return Available(sam={"vit_b", "vit_l", "vit_h"}, data={"monuseg", "dsb", "glas"})


@pytest.fixture
def table_of(trainer, everything):
    """The table of a target, with all inputs available by default."""

    def make(name, run_row=trainer, **options):
        return make_result_table(run_table(target(name), run_row, **{"available": everything, **options}))

    return make
