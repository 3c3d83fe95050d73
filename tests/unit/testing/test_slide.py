"""What ``SyntheticSlide`` promises about its nuclei and its pixels."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sac_wsi.geometry import Box
from sac_wsi.nuclei.masks import labels_from_nuclei, nuclei_from_labels
from sac_wsi.testing import SyntheticSlide
from sac_wsi.testing.lattice import ellipses_in

SLIDE = SyntheticSlide(seed=11, shape_yx=(1500, 1700))
DENSITIES = [400, 4_000, 50_000, 100_000]


def boxes(shape, longest=300):
    corners = st.tuples(st.integers(-100, shape[0] + 50), st.integers(-100, shape[1] + 50))
    sides = st.tuples(st.integers(1, longest), st.integers(1, longest))
    return st.builds(lambda c, s: Box(c[0], c[1], c[0] + s[0], c[1] + s[1]), corners, sides)


def neighbours(labels, reach, shape_of_reach):
    """Pairs of different labels that have pixels at most ``reach`` apart."""
    pairs = set()
    for dy in range(reach + 1):
        for dx in range(-reach, reach + 1):
            if shape_of_reach == "cross" and dy and dx:
                continue
            height, width = labels.shape
            here = labels[: height - dy, max(-dx, 0) : width - max(dx, 0)]
            there = labels[dy:, max(dx, 0) : width - max(-dx, 0)]
            differ = (here != there) & (here > 0) & (there > 0)
            pairs |= {
                tuple(sorted(p)) for p in zip(here[differ].tolist(), there[differ].tolist(), strict=True)
            }
    return pairs


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("touching", [0.0, 0.2, 1.0])
def test_nuclei_are_single_whole_and_apart_but_for_their_partners(density, touching):
    slide = replace(SLIDE, shape_yx=(900, 1000), density_per_mm2=density, touching_fraction=touching)
    truth = slide.truth(slide.box)
    labels = labels_from_nuclei(truth, slide.box)
    again = nuclei_from_labels(labels, (0, 0))
    # painting and reading back loses nothing: no overlap, one piece each, no pockets, none cut by the edge
    for name in ("box", "area_px", "anchor_yx", "mask_start", "mask_bits"):
        np.testing.assert_array_equal(getattr(again, name), getattr(truth, name))
    touching_pairs = neighbours(labels, 1, "cross")
    paired = np.flatnonzero(ellipses_in(slide.lattice, (0, 0, *slide.shape_yx))["side"]) + 1
    assert {label for pair in touching_pairs for label in pair} == set(paired.tolist())
    assert neighbours(labels, 2, "square") == touching_pairs


@pytest.mark.parametrize("density", DENSITIES)
def test_density_and_touching_fraction_are_as_asked(density):
    slide = SyntheticSlide(seed=2, shape_yx=(6000, 6000), density_per_mm2=density, touching_fraction=0.3)
    assert slide.truth_count() == pytest.approx(density * 1.5**2, rel=0.06)
    sides = ellipses_in(slide.lattice, (0, 0, 6000, 6000))["side"]
    assert (sides != 0).mean() == pytest.approx(0.3, abs=0.05)


def test_radii_are_mostly_three_to_five_micrometres():
    slide = SyntheticSlide(seed=2, shape_yx=(20_000, 20_000), density_per_mm2=1000, touching_fraction=0)
    radius_um = np.sqrt(slide.truth(slide.box).area_px / np.pi) * 0.25
    assert ((radius_um > 3) & (radius_um < 5)).mean() > 0.6
    assert 2 <= radius_um.min() < 2.6
    assert 7.5 < radius_um.max() <= 10


@given(boxes(SLIDE.shape_yx))
@settings(deadline=None)
def test_the_truth_of_a_box_is_what_meets_it_of_the_whole(box):
    whole = SLIDE.truth(SLIDE.box)
    y0, x0, y1, x1 = whole.box.T
    expected = whole.take((y0 < box.y1) & (y1 > box.y0) & (x0 < box.x1) & (x1 > box.x0))
    found = SLIDE.truth(box)
    for name, column in expected.columns().items():
        np.testing.assert_array_equal(found.columns()[name], column)


@pytest.mark.parametrize("tissue", ["full", "blobs"])
@given(boxes(SLIDE.shape_yx), st.floats(0, 1))
@settings(deadline=None, max_examples=60)
def test_a_region_looks_the_same_however_it_is_cut(tissue, box, where):
    slide = replace(SLIDE, tissue=tissue)
    cut_y, cut_x = box.y0 + int(where * box.height), box.x0 + int((1 - where) * box.width)
    rows = (box.y0, cut_y, box.y1)
    columns = (box.x0, cut_x, box.x1)
    parts = [[slide.render(Box(y0, x0, y1, x1)) for x0, x1 in pairwise(columns)] for y0, y1 in pairwise(rows)]
    pieces = np.concatenate([np.concatenate(row, axis=1) for row in parts])
    np.testing.assert_array_equal(pieces, slide.render(box))


def test_nuclei_are_blue_and_stroma_is_pink():
    rgb = SLIDE.render(SLIDE.box).astype(int)
    nuclei = labels_from_nuclei(SLIDE.truth(SLIDE.box), SLIDE.box) > 0
    assert (rgb[nuclei][:, 0] < 175).mean() > 0.9
    assert (rgb[~nuclei][:, 0] > 190).mean() > 0.95
    red, green, blue = rgb[nuclei].mean(axis=0)
    assert blue > red > green
    red, green, blue = rgb[~nuclei].mean(axis=0)
    assert red > blue > green


@pytest.mark.parametrize("seed", range(4))
def test_blobs_leave_glass_and_hold_all_nuclei(seed):
    slide = SyntheticSlide(seed=seed, shape_yx=(2600, 3100), tissue="blobs")
    bare = replace(slide, density_per_mm2=0)
    stroma = bare.render(slide.box)
    glass = (stroma >= 235).all(axis=2)
    assert 0.2 < glass.mean() < 0.95
    assert glass[:20].all()
    assert glass[:, -20:].all()
    assert slide.truth_count() == len(slide.truth(slide.box)) > 100
    # clefts are white as well, but never as wide as a nucleus's surroundings
    centres = slide.truth(slide.box).anchor_yx
    surroundings = [(~glass[y - 20 : y + 21, x - 20 : x + 21]).mean() for y, x in centres]
    assert min(surroundings) > 0.25


def test_seams_run_through_nuclei():
    def cut_share(slide):
        y0, _, y1, _ = slide.truth(slide.box).box.T
        return ((y0 < 512) & (y1 > 512)).sum() / (slide.shape_yx[1] / slide.lattice.pitch)

    assert cut_share(replace(SLIDE, seams_px=(512, 512))) > 0.8 > 0.6 > cut_share(SLIDE)


def test_beyond_the_edge_it_is_white():
    rgb = SLIDE.render(Box(-5, -5, 5, 5))
    assert (rgb[:5] == 255).all()
    assert (rgb[5:, 5:] < 255).all()
    assert len(SLIDE.truth(Box(-500, -500, 0, 0))) == 0
    assert len(SLIDE.truth(Box(5, 5, 5, 5))) == 0


def test_the_same_settings_give_the_same_slide_and_survive_pickling():
    box = Box(200, 300, 400, 500)
    copy = pickle.loads(pickle.dumps(SLIDE))  # noqa: S301 - our own bytes
    assert copy == SLIDE
    np.testing.assert_array_equal(copy.render(box), SLIDE.render(box))
    assert (replace(SLIDE, seed=12).render(box) != SLIDE.render(box)).any()


def test_the_nuclei_are_those_of_every_other_machine():
    digest = hashlib.sha256(SLIDE.truth(SLIDE.box).mask_bits.tobytes()).hexdigest()
    assert digest[:16] == "23e7283dfa92d668"


def test_a_slide_larger_than_any_scanner_costs_nothing():
    slide = SyntheticSlide(seed=0, shape_yx=(2_000_000, 2_000_000))
    corner = Box(1_999_800, 1_999_800, 2_000_000, 2_000_000)
    assert slide.render(corner).shape == (200, 200, 3)
    assert 0 < len(slide.truth(corner)) < 40


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"density_per_mm2": 1e6}, "pass density_per_mm2 <="),
        ({"density_per_mm2": -1}, "density_per_mm2 is -1"),
        ({"mpp": 0}, "mpp is 0"),
        ({"touching_fraction": 1.5}, "touching_fraction is 1.5"),
        ({"tissue": "spots"}, "'full' or 'blobs'"),
        ({"mpp": 4.0}, "smaller mpp"),
    ],
)
def test_impossible_settings_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        replace(SLIDE, **setting)
