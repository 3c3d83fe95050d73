import numpy as np
import pytest
import torch

from sac_wsi.datasets.images import LabelledImage
from sac_wsi.train.augment import NONE
from sac_wsi.train.loader import BatchSampler


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
    sampler = BatchSampler(Two(), 8, 32, 1, 0, 0, 0, NONE)
    sampler = sampler.weighted_by_pixels() if by_pixels else sampler
    light = np.concatenate([sampler.make_batch(number).pixels[:, 0, 0, 0] for number in range(150)])
    # 1,200 draws: the standard deviation is 0.014
    assert abs((light > 0).mean() - share) < 0.07


def test_batch_depends_on_its_number_only_when_images_are_weighted_by_pixels():
    sampler, again = (BatchSampler(Two(), 8, 32, 1, 0, 0, 5, NONE).weighted_by_pixels() for _ in range(2))
    sampler.make_batch(0)
    assert torch.equal(sampler.make_batch(3).pixels, again.make_batch(3).pixels)
