import numpy as np
import pytest
import torch

from sac_wsi.datasets.images import LabelledImage
from sac_wsi.train.augment import NONE
from sac_wsi.train.loader import LessonPlan


class Two:
    """A small dark image and a light one of four times as many pixels."""

    def __len__(self):
        return 2

    def name(self, index):
        return str(index)

    def read(self, index):
        side = (64, 128)[index]
        return LabelledImage(np.full((side, side, 3), 255 * index, np.uint8), np.ones((side, side), np.int32))


@pytest.mark.parametrize(("by_pixels", "share"), [(False, 0.5), (True, 0.8)])
def test_how_often_an_image_is_drawn(by_pixels, share):
    plan = LessonPlan(Two(), 8, 32, 1, 0, 0, 0, NONE)
    plan = plan.drawn_by_pixels() if by_pixels else plan
    light = np.concatenate([plan.lesson(number).pixels[:, 0, 0, 0] for number in range(150)])
    # 1,200 draws: the standard deviation is 0.014
    assert abs((light > 0).mean() - share) < 0.07


def test_a_lesson_follows_from_its_number_when_drawn_by_pixels():
    plan, again = (LessonPlan(Two(), 8, 32, 1, 0, 0, 5, NONE).drawn_by_pixels() for _ in range(2))
    plan.lesson(0)
    assert torch.equal(plan.lesson(3).pixels, again.lesson(3).pixels)
