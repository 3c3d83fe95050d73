"""Measurements of polygons, compared with shapely and with shapes whose values are known."""

import math

import numpy as np
import pytest
import shapely

from sac_wsi.nuclei.masks import nuclei_from_masks
from sac_wsi.nuclei.measure import measure
from sac_wsi.nuclei.polygons import outlines
from sac_wsi.nuclei.table import CENTIPIXEL, MEASUREMENTS


def measured(*rings_px, mpp=1.0, stain_od=None):
    """Return the measurements of polygons (x, y in pixels) by name."""
    rings = [np.rint(CENTIPIXEL * np.asarray(ring, float)).astype(np.int32) for ring in rings_px]
    start = np.concatenate([[0], np.cumsum([len(ring) for ring in rings])]).astype(np.int64)
    stain = np.zeros((len(rings), 2), np.float32) if stain_od is None else np.array(stain_od, np.float32)
    values = measure(start, np.concatenate(rings), stain, mpp)
    assert values.shape == (len(rings), len(MEASUREMENTS))
    return dict(zip(MEASUREMENTS, values.T, strict=True))


def blob(seed):
    """Return the outline of a random mask, x and y in pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-20:21, -20:21]
    angle = np.arctan2(y, x)
    radius = 10 + sum(rng.uniform(-2, 2) * np.cos(k * angle + rng.uniform(0, 6)) for k in (1, 2, 3, 5))
    nuclei = nuclei_from_masks([((300, 500), np.hypot(y, x) < radius)])
    return outlines(nuclei, 1.0)[1] / CENTIPIXEL


def ellipse(a, b, degrees, centre=(400.0, 300.0)):
    """Return an ellipse turned counter-clockwise as seen on the screen, where y points down."""
    t = np.linspace(0, 2 * math.pi, 400, endpoint=False)
    x, y = a * np.cos(t), b * np.sin(t)
    angle = -math.radians(degrees)
    return np.column_stack(
        [
            centre[0] + x * math.cos(angle) - y * math.sin(angle),
            centre[1] + x * math.sin(angle) + y * math.cos(angle),
        ]
    )


@pytest.mark.parametrize("seed", range(8))
def test_the_shape_is_what_shapely_computes(seed):
    ring = blob(seed)
    polygon, got = shapely.Polygon(ring), {name: values[0] for name, values in measured(ring).items()}
    hull = polygon.convex_hull
    assert got["Centroid X µm"] == pytest.approx(polygon.centroid.x, rel=1e-6)
    assert got["Centroid Y µm"] == pytest.approx(polygon.centroid.y, rel=1e-6)
    assert got["Area µm^2"] == pytest.approx(polygon.area, rel=1e-6)
    assert got["Length µm"] == pytest.approx(polygon.length, rel=1e-6)
    assert got["Circularity"] == pytest.approx(4 * math.pi * polygon.area / polygon.length**2, rel=1e-6)
    assert got["Solidity"] == pytest.approx(polygon.area / hull.area, rel=1e-6)
    assert got["Max diameter µm"] == pytest.approx(2 * shapely.minimum_bounding_radius(polygon), rel=1e-4)
    assert got["Min diameter µm"] == pytest.approx(least_width(hull), rel=1e-6)


def least_width(hull):
    """Return the smallest extent of a convex polygon across the directions of its own sides."""
    points = np.array(hull.exterior.coords)
    sides = np.diff(points, axis=0)
    normals = np.column_stack([-sides[:, 1], sides[:, 0]]) / np.hypot(*sides.T)[:, None]
    return np.ptp(points @ normals.T, axis=0).min()


def test_a_rectangle():
    got = measured([(10, 20), (40, 20), (40, 30), (10, 30)], mpp=0.5)
    expected = {
        "Centroid X µm": 12.5,
        "Centroid Y µm": 12.5,
        "Area µm^2": 75.0,
        "Length µm": 40.0,
        "Circularity": 4 * math.pi * 75 / 40**2,
        "Solidity": 1.0,
        "Max diameter µm": math.hypot(15, 5),
        "Min diameter µm": 5.0,
        "Orientation °": 0.0,
    }
    for name, value in expected.items():
        assert got[name][0] == pytest.approx(value, rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize("degrees", [0, 30, 60, 89, -30, -75])
def test_the_orientation_is_counter_clockwise_on_the_screen(degrees):
    assert measured(ellipse(30, 12, degrees))["Orientation °"][0] == pytest.approx(degrees, abs=0.1)


def test_neither_direction_nor_place_of_the_ring_changes_its_size():
    ring = blob(1)
    got = measured(ring, ring[::-1], ring + np.array([100_000, 80_000]))
    for name in MEASUREMENTS[2:8]:
        assert got[name] == pytest.approx([got[name][0]] * 3, rel=1e-5), name


def test_lengths_and_areas_scale_with_the_resolution():
    one, half = measured(blob(2), mpp=1.0), measured(blob(2), mpp=0.5)
    for name in ("Centroid X µm", "Length µm", "Max diameter µm", "Min diameter µm"):
        assert half[name][0] == pytest.approx(one[name][0] / 2, rel=1e-6), name
    assert half["Area µm^2"][0] == pytest.approx(one["Area µm^2"][0] / 4, rel=1e-6)
    for name in ("Circularity", "Solidity", "Orientation °"):
        assert half[name][0] == one[name][0], name


def test_the_smallest_polygon_and_no_polygon():
    got = measured([(5, 5), (6, 5), (6, 6), (5, 6)])
    assert got["Area µm^2"][0] == pytest.approx(1)
    assert all(np.isfinite(values).all() for values in got.values())
    none = measure(np.zeros(1, np.int64), np.zeros((0, 2), np.int32), np.zeros((0, 2), np.float32), 0.5)
    assert none.shape == (0, len(MEASUREMENTS))


def test_stains_are_passed_on():
    got = measured(blob(0), blob(1), stain_od=[[0.5, 0.25], [0.125, 1.0]])
    assert got["Hematoxylin: Mean"].tolist() == [0.5, 0.125]
    assert got["Eosin: Mean"].tolist() == [0.25, 1.0]
