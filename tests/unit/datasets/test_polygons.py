"""The frame of the MoNuSeg annotations."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.draw import polygon as skimage_polygon

from sac_wsi.datasets.aperio_xml import read_annotation
from sac_wsi.datasets.polygons import covered, paint

MONUSEG = Path(__file__).resolve().parents[4] / "shared/data/monuseg_train"


def square(x0, y0, x1, y1):
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float)


def test_a_vertex_counts_pixels_from_one():
    labels = paint([square(10.5, 20.5, 12.5, 21.5)], (40, 40))
    assert np.argwhere(labels).tolist() == [[20, 10], [20, 11]]


def test_a_centre_on_an_edge_belongs_to_the_polygon_left_and_above():
    left, right = square(1, 1, 4, 4), square(4, 1, 7, 4)
    labels = paint([left, right], (8, 8))
    assert labels[2].tolist() == [0, 1, 1, 1, 2, 2, 2, 0]
    assert labels[:, 1].tolist() == [0, 1, 1, 1, 0, 0, 0, 0]


def test_the_first_of_two_polygons_keeps_the_pixel():
    labels = paint([square(1.5, 1.5, 5.5, 5.5), square(3.5, 3.5, 8.5, 8.5)], (10, 10))
    assert labels[4, 4] == 1
    assert labels[6, 6] == 2


def test_what_is_outside_or_no_polygon_paints_nothing():
    outside = [square(50, 50, 60, 60), square(-9, -9, 0.5, 0.5), np.zeros((0, 2)), np.ones((2, 2))]
    assert not paint(outside, (20, 20)).any()
    assert paint([square(-1e8, -1e8, 1e8, 1e8)], (20, 20)).all()


@given(
    st.lists(st.tuples(st.floats(-5, 35), st.floats(-5, 35)), min_size=3, max_size=12),
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
)
def test_inside_is_even_odd_as_scikit_image_has_it(points, shape_yx):
    xy = np.array(points) + 0.123456  # no centre on an edge, where conventions differ
    y0, x0, inside = covered(xy, shape_yx)
    ours = np.zeros(shape_yx, bool)
    ours[y0 : y0 + inside.shape[0], x0 : x0 + inside.shape[1]] = inside
    theirs = np.zeros(shape_yx, bool)
    theirs[skimage_polygon(xy[:, 1], xy[:, 0], shape_yx)] = True
    near_edge = np.zeros(shape_yx, bool)
    for y, x in np.argwhere(ours != theirs):
        near_edge[y, x] = distance_to_edges(xy, x, y) < 1e-6
    assert (ours == theirs)[~near_edge].all()


def distance_to_edges(xy, x, y):
    start, end = xy, np.roll(xy, -1, axis=0)
    along = end - start
    length2 = np.maximum((along**2).sum(axis=1), 1e-300)
    t = np.clip((((x, y) - start) * along).sum(axis=1) / length2, 0, 1)
    return np.hypot(*(start + t[:, None] * along - (x, y)).T).min()


def agreement(offset_px):
    same, overlap, sizes, pixels = 0, 0, 0, 0
    for path in sorted((MONUSEG / "annotations").glob("*.xml")):
        wanted = np.array(Image.open(MONUSEG / "labels" / f"{path.stem}.png")).astype(int)
        polygons = [xy + offset_px for xy in read_annotation(path).polygons_xy]
        labels = paint(polygons, wanted.shape)
        same += (labels == wanted).sum()
        overlap += 2 * ((labels > 0) & (wanted > 0)).sum()
        sizes += (labels > 0).sum() + (wanted > 0).sum()
        pixels += wanted.size
    return same / pixels, overlap / sizes


@pytest.mark.skipif(not MONUSEG.is_dir(), reason="the MoNuSeg images are not here")
def test_the_shipped_label_maps_come_out():
    same, dice = agreement(0)
    assert same > 0.9994
    assert dice > 0.998


@pytest.mark.skipif(not MONUSEG.is_dir(), reason="the MoNuSeg images are not here")
@pytest.mark.parametrize("offset_px", [-0.5, 0.5, 1.0])
def test_no_other_offset_comes_near(offset_px):
    assert agreement(offset_px)[0] < 0.993
