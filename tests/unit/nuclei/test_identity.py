"""The UUID of a nucleus depends on the slide, the model, its place and its pixels, and on nothing else."""

import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sac_wsi.nuclei.columns import concat
from sac_wsi.nuclei.identity import model_namespace, nucleus_uuids
from sac_wsi.nuclei.masks import nuclei_from_masks

SPACE = model_namespace("slide", "model")
SQUARE = np.ones((3, 4), bool)
CORNERS = st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 10**6)), max_size=6, unique=True)


def hexes(nuclei, space=SPACE):
    return [bytes(row).hex() for row in nucleus_uuids(nuclei, space)]


def test_the_number_of_a_known_nucleus_stays_the_same_in_every_release():
    assert hexes(nuclei_from_masks([((10, 20), SQUARE)])) == ["f54a5548275056eeb8045224c59d8f93"]


@given(CORNERS)
def test_all_are_valid_differ_and_do_not_depend_on_the_others(corners):
    nuclei = nuclei_from_masks([(corner, SQUARE) for corner in corners])
    found = hexes(nuclei)
    assert len(set(found)) == len(corners)
    assert all((uuid.UUID(h).version, uuid.UUID(h).variant) == (5, uuid.RFC_4122) for h in found)
    alone = [hexes(nuclei_from_masks([(corner, SQUARE)]))[0] for corner in corners]
    assert found == alone
    assert hexes(concat([nuclei, nuclei])) == found * 2


def test_score_tile_and_stain_do_not_change_it():
    nuclei = nuclei_from_masks([((10, 20), SQUARE)])
    changed = nuclei.replace(score=np.array([0.25]), tile=np.array([7]), stain_od=np.array([[1.0, 2.0]]))
    assert hexes(changed) == hexes(nuclei)


@pytest.mark.parametrize("space", [model_namespace("other", "model"), model_namespace("slide", "other")])
def test_slide_and_model_change_it(space):
    nuclei = nuclei_from_masks([((10, 20), SQUARE)])
    assert hexes(nuclei, space) != hexes(nuclei)


def test_one_pixel_changes_it():
    notched = SQUARE.copy()
    notched[0, 0] = False
    assert hexes(nuclei_from_masks([((10, 20), notched)])) != hexes(nuclei_from_masks([((10, 20), SQUARE)]))
