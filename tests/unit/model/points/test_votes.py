"""Votes of perfect offsets give the nuclei back; votes of noise give something that is well formed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from sac_wsi.errors import ConfigError
from sac_wsi.model.points.target_maps import target_maps
from sac_wsi.model.points.votes import VoteSettings, basins_of_votes, centres_of_votes, vote
from sac_wsi.nuclei.label_maps import label_centres

SIDE = 48


def touching_discs(centres_yx, radius=7):
    """A label map: each pixel belongs to the nearest centre, if it is near enough."""
    y, x = np.mgrid[:SIDE, :SIDE]
    far = np.stack([np.hypot(y - cy, x - cx) for cy, cx in centres_yx])
    return np.where(far.min(axis=0) <= radius, far.argmin(axis=0) + 1, 0).astype(np.int32)


@given(st.lists(st.tuples(st.integers(8, SIDE - 9), st.integers(8, SIDE - 9)), min_size=1, max_size=8))
def test_perfect_offsets_give_touching_nuclei_back(places):
    apart = []
    for place in places:
        if all(np.hypot(place[0] - o[0], place[1] - o[1]) >= 9 for o in apart):
            apart.append(place)
    labels = touching_discs(apart)
    maps = target_maps(labels, offsets=True)
    votes = vote(maps, labels > 0, VoteSettings(smooth_px=1.0))
    found = basins_of_votes(votes, 1)
    assert found.max() == len(apart)
    for label in range(1, len(apart) + 1):
        same = np.bincount(found[labels == label])
        assert same.max() >= 0.95 * (labels == label).sum()
    centres = centres_of_votes(votes)
    true_yx, _ = label_centres(labels)
    assert len(centres) == len(apart)
    for yx in true_yx:
        assert np.abs(centres - yx).max(axis=1).min() <= 1


@given(
    arrays(np.float32, (5, 20, 23), elements=st.floats(-3, 3, width=32)),
    arrays(np.bool_, (20, 23)),
    st.integers(1, 12),
)
def test_any_votes_give_connected_pieces_of_the_foreground(maps, foreground, min_area_px):
    maps[:3] = 1 / (1 + np.exp(-maps[:3]))
    votes = vote(maps, foreground, VoteSettings())
    labels = basins_of_votes(votes, min_area_px)
    assert not labels[~foreground].any()
    assert sorted(set(labels.ravel().tolist()) - {0}) == list(range(1, labels.max() + 1))
    for label in range(1, labels.max() + 1):
        _, pieces = ndimage.label(labels == label)
        assert pieces == 1
        assert (labels == label).sum() >= min_area_px
    centres = centres_of_votes(votes)
    assert centres.tolist() == sorted(centres.tolist())
    assert votes.peaks[centres[:, 0], centres[:, 1]].all()


def test_no_foreground_gives_nothing():
    votes = vote(np.zeros((5, 8, 9), np.float32), np.zeros((8, 9), bool), VoteSettings())
    assert not basins_of_votes(votes, 1).any()
    assert centres_of_votes(votes).shape == (0, 2)


@pytest.mark.parametrize("wrong", [{"smooth_px": 0}, {"min_prominence": 0.0}])
def test_wrong_settings_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=f"sac.votes.{next(iter(wrong))}"):
        VoteSettings(**wrong)
