import numpy as np

from sac_wsi.geometry import Box
from sac_wsi.nuclei.columns import Nuclei, concat
from sac_wsi.nuclei.masks import labels_from_nuclei, nuclei_from_masks
from sac_wsi.tiling.grid import GridSettings, make_grid
from sac_wsi.tiling.stitch import (
    claim,
    decide,
    overlaps_between,
    overlaps_within,
    precedence,
    same_nucleus,
    trim,
)


def disc(cy, cx, r=6, score=1.0):
    y, x = np.mgrid[-r : r + 1, -r : r + 1]
    mask = y**2 + x**2 <= r * r
    return nuclei_from_masks([((cy - r, cx - r), mask)], np.array([score], np.float32))


FRAME = Box(0, 0, 1000, 1000)
GRID = make_grid(FRAME.shape, 0.5, GridSettings(tile_px=128, halo_um=10, tolerance_px=4))


def test_a_tile_claims_what_is_anchored_in_its_core_with_tolerance():
    tile = GRID.tile(0)
    edge = tile.core.x1
    anchors = [edge - 10, edge - 1, edge + 3, edge + 4, edge + 8]
    owned, cut = claim(concat([disc(40, x) for x in anchors]), tile, FRAME, 4)
    assert owned.anchor_yx[:, 1].tolist() == [edge - 10, edge - 1, edge + 3]
    assert cut == 0
    assert set(owned.tile) == {0}


def test_a_mask_cut_by_an_artificial_edge_is_dropped_and_counted():
    tile = GRID.tile(0)
    wide = nuclei_from_masks([((40, 20), np.ones((5, tile.read.x1 - 20), bool))])
    owned, cut = claim(wide, tile, FRAME, 4)
    assert (len(owned), cut) == (0, 1)


def test_a_mask_cut_by_the_slides_own_edge_stays():
    owned, cut = claim(nuclei_from_masks([((0, 0), np.ones((5, 5), bool))]), GRID.tile(0), FRAME, 4)
    assert (len(owned), cut) == (1, 0)


def test_shared_pixels_are_those_of_boolean_arrays():
    rng = np.random.default_rng(0)
    nuclei = concat([disc(*rng.integers(10, 60, 2), r=int(rng.integers(2, 9))) for _ in range(30)])
    painted = [
        labels_from_nuclei(nuclei.take(np.array([i])), Box(0, 0, 80, 80)) > 0 for i in range(len(nuclei))
    ]
    expected = {
        (i, j): int((painted[i] & painted[j]).sum())
        for i in range(30)
        for j in range(i + 1, 30)
        if (painted[i] & painted[j]).any()
    }
    found = overlaps_within(nuclei)
    assert {tuple(p): int(n) for p, n in zip(found.pair.tolist(), found.shared_px, strict=True)} == expected
    a, b = nuclei.take(np.arange(10)), nuclei.take(np.arange(10, 30))
    across = overlaps_between(a, b)
    assert {(i, j + 10) for i, j in across.pair.tolist()} == {(i, j) for i, j in expected if i < 10 <= j}


def test_the_order_is_score_then_area_then_place():
    nuclei = concat([disc(50, 50, 5, 0.5), disc(20, 50, 5, 0.9), disc(80, 50, 7, 0.9), disc(20, 40, 5, 0.9)])
    assert np.argsort(precedence(nuclei)).tolist() == [2, 3, 1, 0]


def test_otherwise_equal_nuclei_are_ordered_by_their_masks():
    a = np.array([[1, 1, 1], [1, 1, 0], [0, 1, 1]], bool)
    b = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], bool)
    pair = nuclei_from_masks([((0, 0), a), ((0, 0), b)])
    assert pair.anchor_yx[0].tolist() == pair.anchor_yx[1].tolist()
    assert precedence(pair).tolist() == [1 - r for r in precedence(pair.take(np.array([1, 0])))]


def test_the_better_of_two_views_stays_and_removes_only_its_own_conflicts():
    # a beats b, b beats c, a and c do not conflict: b is dropped, c stays
    conflicts = np.array([[0, 1], [1, 2]], np.int32)
    assert decide(np.array([0, 1, 2]), conflicts).tolist() == [True, False, True]


def test_touching_neighbours_are_two_and_shifted_views_are_one():
    neighbours = overlaps_within(concat([disc(50, 50), disc(50, 61)]))
    views = overlaps_within(concat([disc(50, 50), disc(52, 53)]))
    area = np.full(2, disc(0, 0).area_px[0])
    assert len(same_nucleus(neighbours, area, area)) == 0
    assert len(same_nucleus(views, area, area)) == 1


def test_trim_gives_shared_pixels_to_the_better_one_and_keeps_the_anchor():
    nuclei = concat([disc(50, 50, score=0.9), disc(50, 59, score=0.5)])
    left = trim(nuclei, nuclei, np.array([[1, 0]], np.int32))
    assert len(left) == 2
    assert len(overlaps_within(left)) == 0
    assert sorted(left.anchor_yx[:, 1].tolist()) == [50, 59]
    assert left.area_px.sum() < nuclei.area_px.sum()


def test_a_remnant_is_dropped():
    small, large = disc(50, 50, 3, 0.5), disc(50, 52, 8, 0.9)
    both = concat([small, large])
    assert len(trim(both, both, np.array([[0, 1]], np.int32))) == 1


def test_no_nuclei():
    none = Nuclei.empty()
    assert len(overlaps_within(none)) == len(overlaps_between(none, none)) == len(precedence(none)) == 0
    assert len(decide(np.zeros(0, int), np.zeros((0, 2), np.int32))) == 0
