import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sac_wsi.nuclei.masks import nuclei_from_labels
from sac_wsi.nuclei.measure import measure
from sac_wsi.nuclei.polygons import outlines
from sac_wsi.nuclei.table import MEASUREMENTS
from sac_wsi.tiling.stitch import overlaps_within


def polygons(nuclei, downsample=1.0):
    start, xy = outlines(nuclei, downsample)
    return [shapely.Polygon(xy[start[i] : start[i + 1]] / 100) for i in range(len(nuclei))]


label_maps = hnp.arrays(
    np.int32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 4)
)


@given(label_maps, st.sampled_from([1.0, 0.5, 1.7, 2.0, 4.0]))
def test_any_mask_gives_a_valid_simple_polygon(labels, downsample):
    for polygon in polygons(nuclei_from_labels(labels, (-5, 7)), downsample):
        assert polygon.is_valid
        assert polygon.area > 0.01


@given(label_maps)
def test_touching_nuclei_share_an_edge_and_no_area(labels):
    nuclei = nuclei_from_labels(labels, (0, 0))
    found = polygons(nuclei)
    overlapping = {tuple(pair) for pair in overlaps_within(nuclei).pair.tolist()}
    for i, a in enumerate(found):
        for j, b in enumerate(found[:i]):
            assert (j, i) in overlapping or a.intersection(b).area == 0


def test_a_pixel_is_a_diamond_around_its_centre():
    (diamond,) = polygons(nuclei_from_labels(np.ones((1, 1), np.int32), (3, 5)))
    assert diamond.centroid.coords[0] == (5.5, 3.5)
    assert diamond.area == 0.5


def test_a_square_keeps_its_sides_and_loses_its_corners():
    (square,) = polygons(nuclei_from_labels(np.ones((10, 10), np.int32), (0, 0)))
    assert square.bounds == (0, 0, 10, 10)
    assert square.area == 100 - 4 * 0.125
    assert len(square.exterior.coords) - 1 == 8


@pytest.fixture(scope="module")
def blobs():
    y, x = np.mgrid[:300, :300]
    labels = np.zeros((300, 300), np.int32)
    rng = np.random.default_rng(1)
    for k in range(40):
        cy, cx, a, b, t = *rng.uniform(20, 280, 2), *rng.uniform(3, 15, 2), rng.uniform(0, np.pi)
        u, v = (x - cx) * np.cos(t) + (y - cy) * np.sin(t), (y - cy) * np.cos(t) - (x - cx) * np.sin(t)
        labels[(u / a) ** 2 + (v / b) ** 2 <= 1] = k + 1
    return nuclei_from_labels(labels, (100, 200))


def test_measurements_are_what_shapely_says_of_the_same_polygon(blobs):
    mpp = 0.25
    start, xy = outlines(blobs, 1.0)
    rings = np.array(polygons(blobs))
    stain = np.tile(np.array([0.7, 0.2], np.float32), (len(blobs), 1))
    columns = dict(zip(MEASUREMENTS, measure(start, xy, stain, mpp).T, strict=True))
    hull = shapely.convex_hull(rings)
    expected = {
        "Centroid X µm": shapely.get_x(shapely.centroid(rings)) * mpp,
        "Centroid Y µm": shapely.get_y(shapely.centroid(rings)) * mpp,
        "Area µm^2": shapely.area(rings) * mpp**2,
        "Length µm": shapely.length(rings) * mpp,
        "Circularity": 4 * np.pi * shapely.area(rings) / shapely.length(rings) ** 2,
        "Solidity": shapely.area(rings) / shapely.area(hull),
        "Max diameter µm": 2 * shapely.minimum_bounding_radius(rings) * mpp,
        "Hematoxylin: Mean": 0.7,
        "Eosin: Mean": 0.2,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(columns[name], values, rtol=1e-5, err_msg=name)
    narrow = [min(_width(ring, angle) for angle in _edge_angles(ring)) * mpp for ring in hull]
    np.testing.assert_allclose(columns["Min diameter µm"], narrow, rtol=1e-5)


def _edge_angles(polygon):
    steps = np.diff(np.array(polygon.exterior.coords), axis=0)
    return np.arctan2(steps[:, 1], steps[:, 0])


def _width(polygon, angle):
    across = np.array(polygon.exterior.coords) @ np.array([-np.sin(angle), np.cos(angle)])
    return np.ptp(across)


@pytest.mark.parametrize("degrees", [-60, -30, 0, 30, 60, 90])
def test_orientation_is_counter_clockwise_on_screen(degrees):
    y, x = np.mgrid[-40:41, -40:41]
    t = np.radians(degrees)
    along, across = x * np.cos(t) - y * np.sin(t), x * np.sin(t) + y * np.cos(t)
    labels = ((along / 30) ** 2 + (across / 10) ** 2 <= 1).astype(np.int32)
    nuclei = nuclei_from_labels(labels, (0, 0))
    angle = measure(*outlines(nuclei, 1.0), nuclei.stain_od, 1.0)[0, MEASUREMENTS.index("Orientation °")]
    assert min(abs(angle - degrees), 180 - abs(angle - degrees)) < 1
