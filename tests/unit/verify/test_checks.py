from dataclasses import replace

import numpy as np
import pytest

from sac_wsi.export.geojson import write_geojson
from sac_wsi.export.geojson_read import read_geojson_features
from sac_wsi.geometry import Box
from sac_wsi.nuclei.table import MEASUREMENTS
from sac_wsi.testing.rows import PITCH_PX, lattice_batches, lattice_rows
from sac_wsi.verify import Findings, check_features, check_labels, check_overlaps, check_rows

SLIDE = Box(0, 0, 1000, 1000 * PITCH_PX)


def with_ring(rows, i, ring_px):
    """The rows with another polygon of as many vertices for nucleus i (its last vertex repeated)."""
    xy = rows.polygon_xy_centipx.copy()
    first, stop = rows.polygon_start[i : i + 2]
    ring = np.rint(np.array(ring_px) * 100)
    xy[first:stop] = np.concatenate([ring, np.repeat(ring[-1:], stop - first - len(ring), axis=0)])
    return replace(rows, polygon_xy_centipx=xy)


def with_values(rows, name, i, value):
    column = getattr(rows, name).copy()
    column[i] = value
    return replace(rows, **{name: column})


def measured(rows, i, name, value):
    values = rows.measurements.copy()
    values[i, MEASUREMENTS.index(name)] = value
    return replace(rows, measurements=values)


GOOD = lattice_rows(0, 50)
TWO_VERTICES = replace(
    lattice_rows(0, 2),
    polygon_start=np.array([0, 2, 42]),
    polygon_xy_centipx=lattice_rows(0, 2).polygon_xy_centipx[38:],
)


def test_good_rows_pass():
    assert check_rows(lattice_batches(50, batch_rows=7), SLIDE).ok
    assert check_rows([], SLIDE).ok
    assert check_rows([lattice_rows(0, 0)], SLIDE).ok


@pytest.mark.parametrize(
    ("kind", "rows", "where", "detail"),
    [
        ("polygon-vertices", TWO_VERTICES, "nucleus 1", "2 vertices"),
        ("polygon-invalid", with_ring(GOOD, 4, [(0, 0), (9, 9), (9, 0), (0, 7)]), "nucleus 5", "Self-inter"),
        ("polygon-area", with_ring(GOOD, 4, [(5, 5), (5.1, 5), (5.1, 5.1)]), "nucleus 5", "0.005 px²"),
        ("polygon-outside", with_ring(GOOD, 4, [(-0.01, 5), (9, 5), (5, 9)]), "nucleus 5", "-0.01"),
        ("polygon-outside", with_ring(GOOD, 4, [(5, 5), (9, 5), (5, 1000.01)]), "nucleus 5", "1000.01"),
        ("measurement", measured(GOOD, 4, "Area µm^2", np.nan), "nucleus 5", "Area µm^2 nan"),
        ("measurement", measured(GOOD, 4, "Area µm^2", 0), "nucleus 5", "Area µm^2 0"),
        ("measurement", measured(GOOD, 4, "Solidity", np.inf), "nucleus 5", "Solidity inf"),
        ("score", with_values(GOOD, "score", 4, np.nan), "nucleus 5", "nan"),
        ("score", with_values(GOOD, "score", 4, 1.5), "nucleus 5", "1.5"),
        ("area", with_values(GOOD, "area_px", 4, 0), "nucleus 5", "0 pixels"),
        ("id-repeated", with_values(GOOD, "id", 4, 9), "nucleus 9", "more than once"),
        ("id-range", with_values(GOOD, "id", 4, 51), "nucleus 51", "1..50"),
        ("id-range", with_values(GOOD, "id", 4, 0), "nucleus 0", "1..50"),
        ("uuid-repeated", with_values(GOOD, "uuid", 4, GOOD.uuid[1]), "nucleus 5", "of nucleus 2"),
    ],
)
def test_each_fault_is_found_once_and_named(kind, rows, where, detail):
    findings = check_rows([rows], SLIDE)
    assert findings.counts == {kind: 1}
    (problem,) = findings.problems
    assert (problem.kind, problem.where) == (kind, where)
    assert detail in problem.detail


def test_the_slides_far_edge_is_in_and_undefined_measurements_may_be():
    rows = with_ring(GOOD, 4, [(0, 0), (9, 0), (9, 1000)])
    assert check_rows([measured(rows, 4, "Solidity", np.nan)], SLIDE).ok


def test_ids_and_uuids_are_compared_across_batches():
    again = replace(lattice_rows(0, 10), id=np.arange(11, 21))
    assert check_rows([lattice_rows(0, 10), again], SLIDE).counts == {"uuid-repeated": 10}


def test_a_million_problems_are_counted_and_few_listed():
    findings = check_rows([replace(GOOD, score=np.full(50, 7, np.float32))], SLIDE)
    assert findings.counts == {"score": 50}
    assert [p.where for p in findings.problems] == [f"nucleus {i}" for i in range(1, 21)]


def test_findings_add_up():
    one, two = Findings(), Findings()
    one.add("a", "here", "x")
    two.add("a", "there", "y")
    one.extend(two)
    assert (one.counts, [p.where for p in one.problems]) == ({"a": 2}, ["here", "there"])


def square(x, y, side):
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]


@pytest.mark.parametrize("cell_px", [4096, 40, 7])
def test_apart_touching_and_barely_overlapping_nuclei_pass(cell_px):
    rows = with_ring(with_ring(lattice_rows(0, 2), 0, square(0, 0, 20)), 1, square(20, 0, 20))
    assert check_overlaps([rows], SLIDE, cell_px=cell_px).ok
    sliver = with_ring(rows, 1, square(19.81, 0, 20))  # 3.8 px², less than 1 % of 400
    assert check_overlaps([sliver], SLIDE, cell_px=cell_px).ok
    assert check_overlaps([*lattice_batches(500, batch_rows=70)], SLIDE, cell_px=cell_px).ok
    assert check_overlaps([], SLIDE).ok


@pytest.mark.parametrize("cell_px", [4096, 40, 7])
@pytest.mark.parametrize("at", [(5, 5), (15, 0), (0, 0), (19, 19)])
def test_a_pair_is_found_once_whatever_cells_it_lies_in(cell_px, at):
    left = with_ring(lattice_rows(0, 1), 0, square(30, 30, 20))
    right = with_ring(lattice_rows(1, 2), 0, square(30 + at[0], 30 + at[1], 20))
    if at == (19, 19):
        right = with_ring(right, 0, square(45, 45, 4))
    findings = check_overlaps([left, right], SLIDE, cell_px=cell_px)
    assert findings.counts == {"overlap": 1}
    assert findings.problems[0].where == "nucleus 1"
    assert "with nucleus 2" in findings.problems[0].detail


def test_polygons_that_others_report_do_not_disturb():
    bow_tie = with_ring(GOOD, 4, [(0, 0), (9, 9), (9, 0), (0, 7)])
    far = with_ring(bow_tie, 5, [(-2e7, -2e7), (2e7, -2e7), (2e7, 2e7)])
    assert check_overlaps([far, TWO_VERTICES], Box(0, 0, 20, 20)).ok


def exported(tmp_path, rows):
    write_geojson(tmp_path / "a.geojson", [rows], {})
    return list(read_geojson_features(tmp_path / "a.geojson"))


def test_features_as_exported_pass(tmp_path):
    features = exported(tmp_path, GOOD)
    assert check_features(features, [GOOD]).ok
    assert check_features([], []).ok


def change(path, value):
    def apply(feature):
        *keys, last = path
        for key in keys:
            feature = feature[key]
        feature[last] = value

    return apply


FAULTS = [
    ("feature-form", change(["type"], "Thing")),
    ("feature-object-type", change(["properties", "objectType"], "Detection")),
    ("feature-classification", change(["properties", "classification"], {"name": "Nucleus"})),
    ("feature-classification", change(["properties", "classification", "color"], -3670016)),
    ("feature-classification", change(["properties", "classification", "color"], [1, 2, 256])),
    ("feature-classification", change(["properties", "classification", "name"], "a: b")),
    ("feature-measurements", change(["properties", "measurements"], [{"name": "a", "value": 1}])),
    ("feature-measurements", change(["properties", "measurements", "Detection probability"], None)),
    ("feature-measurements", change(["properties", "measurements", "Solidity"], 0.123)),
    ("feature-geometry", change(["geometry", "type"], "MultiPolygon")),
    ("feature-geometry", change(["geometry"], None)),
    ("feature-geometry", change(["geometry", "coordinates", 0, 0], [0, 0])),
    ("feature-geometry", change(["geometry", "coordinates", 0, 3], [0, None])),
    ("feature-geometry", change(["geometry", "coordinates", 0, 3], [0, 1, 2])),
    ("feature-geometry", change(["geometry", "coordinates"], [])),
    ("feature-uuid", change(["id"], None)),
    ("feature-coordinates", change(["geometry", "coordinates", 0, 3, 1], 19.37)),
]


@pytest.mark.parametrize(("kind", "fault"), FAULTS)
def test_each_fault_of_a_feature_is_found(tmp_path, kind, fault):
    features = exported(tmp_path, GOOD)
    fault(features[7])
    findings = check_features(features, [GOOD])
    assert findings.counts == {kind: 1}
    assert findings.problems[0].where == "feature 8"


def test_order_and_number_of_features_are_the_tables(tmp_path):
    features = exported(tmp_path, GOOD)
    assert check_features(features[:-2], [GOOD]).counts == {"feature-missing": 2}
    assert check_features([*features, features[0]], [GOOD]).counts == {"feature-extra": 1}
    swapped = [features[1], features[0], *features[2:]]
    kinds = ("feature-uuid", "feature-coordinates", "feature-measurements")
    assert check_features(swapped, [GOOD]).counts == dict.fromkeys(kinds, 2)


def drawn(rows, scale=1):
    image = np.zeros((80 * scale, 1200 * scale), np.uint32)
    for label, (y0, x0, y1, x1) in zip(rows.id, rows.box * scale, strict=True):
        image[y0:y1, x0:x1] = label
    return image


def labels_checked(rows, image, scale=1.0):
    def read(box):
        return image[box.y0 : box.y1, box.x0 : box.x1]

    return check_labels([rows], read, Box.of_shape(image.shape), label_px_per_frame_px=scale)


FEW = lattice_rows(0, 25)


def test_labels_as_drawn_pass():
    assert labels_checked(FEW, drawn(FEW)).ok
    assert labels_checked(FEW, drawn(FEW, 2), 2.0).ok
    assert labels_checked(FEW, drawn(FEW)[::2, ::2], 0.5).ok
    assert labels_checked(lattice_rows(0, 0), drawn(FEW)).ok


@pytest.mark.parametrize("read_px", [100, 2048])
def test_missing_and_partly_drawn_nuclei_are_found(monkeypatch, read_px):
    monkeypatch.setattr("sac_wsi.verify.labels.READ_PX", read_px)
    image = drawn(FEW)
    image[image == 3] = 0
    image[image == 25] = 99
    image[FEW.box[9, 0], FEW.box[9, 1]] = 0
    findings = labels_checked(FEW, image)
    assert findings.counts == {"label-missing": 2, "label-area": 1}
    assert [p.where for p in findings.problems] == ["nucleus 3", "nucleus 25", "nucleus 10"]
    assert findings.problems[2].detail == "99 pixels in the label image, 100 in the table"


def test_at_another_resolution_presence_is_what_counts():
    image = drawn(FEW, 2)
    image[image == 3] = 0
    image[FEW.box[9, 0] * 2, FEW.box[9, 1] * 2] = 0
    assert labels_checked(FEW, image, 2.0).counts == {"label-missing": 1}


@pytest.mark.parametrize("box", [(-1, 0, 9, 9), (0, 0, 9, 2000), (5, 5, 5, 9), (0, 0, 2**31 - 1, 2**31 - 1)])
def test_a_box_that_cannot_be_is_reported_and_not_read(box):
    assert labels_checked(with_values(FEW, "box", 3, box), drawn(FEW)).counts == {"label-box": 1}
