import numpy as np
import pytest
from PIL import Image

from sac_wsi.files.png import save_png
from sac_wsi.pictures.overlay import OUTLINE, DensityMap, draw_outlines
from sac_wsi.testing.rows import MPP, PITCH_PX, lattice_batches, lattice_rows

GREY = np.full((80, 120, 3), 200, np.uint8)


def test_outlines_lie_on_the_nuclei_and_nowhere_else():
    rows = lattice_rows(0, 3)
    drawn = draw_outlines(GREY, (0, 0), 1.0, rows)
    changed = (drawn != GREY).any(axis=2)
    y, x = np.nonzero(changed)
    distance = [
        np.hypot(*(rows.polygon_xy_centipx / 100 - (px + 0.5, py + 0.5)).T).min()
        for py, px in zip(y, x, strict=True)
    ]
    assert changed.any()
    assert max(distance) < 2.5
    assert not changed[40:].any()
    assert (GREY == 200).all()


def test_corner_and_scale_place_the_outline():
    rows = lattice_rows(1, 2)  # centred on x 60, y 20
    drawn = draw_outlines(GREY, (10, 50), 4.0, rows, color=(0, 0, 0), width=2)
    y, x = np.nonzero((drawn != GREY).any(axis=2))
    ring = (rows.polygon_px(0) - (50, 10)) * 4
    shown = np.clip(ring, 0, (119, 79))
    assert abs(x.max() - shown[:, 0].max()) <= 2
    assert abs(y.max() - shown[:, 1].max()) <= 2


def test_a_thick_line_has_the_full_colour():
    drawn = draw_outlines(GREY, (0, 0), 1.0, lattice_rows(0, 3), width=3)
    assert (drawn == OUTLINE).all(axis=2).any()


def test_nuclei_out_of_view_and_none_change_nothing():
    np.testing.assert_array_equal(draw_outlines(GREY, (500, 0), 1.0, lattice_rows(0, 3)), GREY)
    np.testing.assert_array_equal(draw_outlines(GREY, (0, 0), 1.0, lattice_rows(0, 0)), GREY)


def density(count=4000, um_per_px=20.0):
    shape = (round(40 * PITCH_PX * MPP / um_per_px), round(1000 * PITCH_PX * MPP / um_per_px))
    made = DensityMap(shape, um_per_px)
    for rows in lattice_batches(count, batch_rows=700):
        made.add(rows)
    return made


def test_density_is_that_of_the_lattice_and_counts_every_nucleus():
    per_mm2 = density(40_000).per_mm2(sigma_um=30.0)
    expected = 1e6 / (PITCH_PX * MPP) ** 2
    assert per_mm2 == pytest.approx(expected, rel=0.01)
    few = density(4000).per_mm2(sigma_um=30.0)
    assert few.sum() * 20.0**2 / 1e6 == pytest.approx(4000)


def test_unknown_and_far_centroids_are_left_out():
    rows = lattice_rows(0, 4)
    rows.measurements[0, 0] = np.nan
    rows.measurements[1, 1] = 1e9
    rows.measurements[2, 1] = -0.01
    made = DensityMap((10, 10), 20.0)
    made.add(rows)
    assert made.per_mm2().sum() * 20.0**2 / 1e6 == pytest.approx(1)


def test_the_map_is_drawn_where_nuclei_are_with_a_legend_beside():
    made = density(4000)
    thumbnail = np.full((20, 500, 3), 240, np.uint8)
    picture = made.draw(thumbnail, sigma_um=20.0)
    assert picture.dtype == np.uint8
    assert (picture.shape[0], picture.shape[1] > 500) == (20, True)
    np.testing.assert_array_equal(picture[-5:, :500], thumbnail[-5:])
    assert (picture[0, :500] != 240).any(axis=1).all()


def test_an_empty_map_is_the_thumbnail():
    thumbnail = np.full((50, 60, 3), 240, np.uint8)
    np.testing.assert_array_equal(DensityMap((50, 60), 20.0).draw(thumbnail)[:, :60], thumbnail)


def test_a_thumbnail_of_another_size_is_refused():
    with pytest.raises(ValueError, match="need the same"):
        DensityMap((50, 60), 20.0).draw(np.zeros((50, 61, 3), np.uint8))


def test_a_picture_is_saved_complete_and_always_the_same(tmp_path):
    picture = draw_outlines(GREY, (0, 0), 1.0, lattice_rows(0, 3))
    for name in ("one.png", "two.png"):
        save_png(tmp_path / name, picture)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "one.png")), picture)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.png", "two.png"]
