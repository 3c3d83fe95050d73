import numpy as np
import pytest
import torch

from sac_wsi.datasets.images import LabelledImage
from sac_wsi.errors import ConfigError
from sac_wsi.train.augment import NONE
from sac_wsi.train.loader import BatchSampler


class Two:
    """A small dark image and a light one of four times as many pixels."""

    def __len__(self):
        return 2

    def name(self, index):
        return f"{('dark', 'light')[index]}/image"

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


def test_data_sets_are_drawn_by_their_shares():
    sampler = BatchSampler(Two(), 8, 32, 1, 0, 0, 0, NONE).weighted_by_set({"dark": 1, "light": 3})
    light = np.concatenate([sampler.make_batch(number).pixels[:, 0, 0, 0] for number in range(150)])
    assert abs((light > 0).mean() - 0.75) < 0.07


@pytest.mark.parametrize("shares", [{"dark": 1.0}, {"dark": 1.0, "light": 1.0, "more": 1.0}])
def test_each_data_set_needs_one_share(shares):
    with pytest.raises(ConfigError, match="the training images are of dark, light: needed one share"):
        BatchSampler(Two(), 8, 32, 1, 0, 0, 0, NONE).weighted_by_set(shares)
