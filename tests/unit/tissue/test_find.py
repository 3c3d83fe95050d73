from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from scipy import ndimage

from sac_wsi.errors import RequestError
from sac_wsi.geometry import Box
from sac_wsi.tissue.find import (
    TissueMask,
    TissueSettings,
    find_tissue,
    relative_density,
    whole_slide,
)
from sac_wsi.tissue.region import tissue_from_geojson

SLIDE = Path(__file__).parents[4] / "shared" / "data" / "wsi" / "CMU-1-Small-Region.svs"
SETTINGS = TissueSettings()
SHAPE = (300, 400)  # 2.4 x 3.2 mm
GLASS, PINK, NUCLEI = (243, 242, 243), (225, 165, 200), (110, 75, 150)
TISSUE = np.s_[90:210, 100:220]
INKS = {"blue": (30, 60, 200), "green": (20, 140, 60), "red": (205, 30, 45), "black": (25, 25, 28)}


def glass(noise: float = 2.5) -> np.ndarray:
    return np.random.default_rng(0).normal(GLASS, noise, (*SHAPE, 3))


def with_tissue(rgb: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Draw a pink square with purple clumps; a small ``strength`` makes the stain pale."""
    clumps = np.random.default_rng(1).random((120, 120))[..., None] ** 2
    density = -np.log10((np.array(PINK) * (1 - clumps) + np.array(NUCLEI) * clumps) / 243)
    rgb[TISSUE] *= 10 ** (-strength * density)
    return rgb


def with_stroke(rgb: np.ndarray, ink: str, row: int = 40) -> np.ndarray:
    """Draw a horizontal stroke of 120 µm with blurred edges across the whole width."""
    line = np.abs(np.mgrid[: SHAPE[0], : SHAPE[1]][0] - row) < 15
    share = ndimage.gaussian_filter(line.astype(float), 1.0)[..., None]
    return (1 - share) * rgb + share * np.array(INKS[ink])


def find(rgb: np.ndarray) -> TissueMask:
    return find_tissue(np.clip(np.rint(rgb), 0, 255).astype(np.uint8), 32.0, SETTINGS)


@pytest.mark.parametrize("strength", [0.05, 0.2, 1.0, 1.8])
def test_all_tissue_is_kept_and_glass_is_not(strength: float) -> None:
    found = find(with_tissue(glass(), strength))
    assert found.mask[TISSUE].all()
    # the margin, and the width that the averaging adds to it
    assert found.mask.sum() < (120 + 2 * 13) ** 2
    assert found.flags == ()


@pytest.mark.parametrize("noise", [0.0, 2.5, 4.0])
def test_glass_is_empty(noise: float) -> None:
    found = find(glass(noise))
    assert not found.mask.any()
    assert found.flags == ("empty",)


def test_uneven_light_is_not_tissue() -> None:
    light = np.linspace(0.94, 1.0, SHAPE[1])[None, :, None]
    assert not find(glass() * light).mask.any()


def test_tinted_glass_has_no_density() -> None:
    tinted = np.full((*SHAPE, 3), (240, 236, 228), np.uint8)
    assert np.abs(relative_density(tinted)).max() < 1e-6


def test_a_thumbnail_full_of_tissue_stays_full() -> None:
    rgb = np.random.default_rng(0).normal(PINK, 6, (*SHAPE, 3))
    assert find(rgb).mask.all()


@pytest.mark.parametrize("ink", INKS)
def test_pen_is_removed_and_reported(ink: str) -> None:
    found = find(with_stroke(with_tissue(glass()), ink))
    assert not found.mask[:70].any()
    assert found.mask[TISSUE].all()
    assert found.flags == (("black",) if ink == "black" else ("pen",))


@pytest.mark.parametrize("ink", INKS)
def test_a_stroke_across_tissue_removes_little_more_than_itself(ink: str) -> None:
    found = find(with_stroke(with_tissue(glass()), ink, row=150))
    assert not found.mask[140:160].any()
    assert found.mask[92:125, 105:215].all()
    assert found.mask[175:208, 105:215].all()


def test_a_black_border_is_removed() -> None:
    rgb = with_tissue(glass())
    rgb[:, :30] = rgb[-20:] = 8
    found = find(rgb)
    assert found.mask[TISSUE].all()
    assert not found.mask[:, :60].any()
    assert not found.mask[-50:].any()
    assert found.flags == ("black",)


@pytest.mark.parametrize(("value", "flags"), [(0, ("black", "empty")), (255, ("empty",))])
def test_an_even_thumbnail_is_empty(value: int, flags: tuple[str, ...]) -> None:
    found = find(np.full((*SHAPE, 3), value))
    assert (found.fraction, found.flags) == (0.0, flags)


def test_specks_are_removed_and_small_holes_filled() -> None:
    rgb = with_tissue(glass())
    rgb[20:25, 300:305] = PINK
    rgb[140:150, 150:160] = GLASS
    found = find(rgb)
    assert not found.mask[:60, 280:].any()
    assert found.mask[TISSUE].all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (7, 3)])
def test_small_thumbnails(shape: tuple[int, int]) -> None:
    assert find(np.full((*shape, 3), 243)).mask.shape == shape


def test_a_mask_covers_its_own_cells_only() -> None:
    mask = np.zeros((3, 4), np.bool_)
    mask[1, 2] = True
    found = TissueMask(mask, 10.0)
    points = np.array([[10, 20], [19.9, 29.9], [20, 20], [10, 19], [-1, 25], [15, 50], [1e9, -1e9]])
    assert found.covers(points).tolist() == [True, True, False, False, False, False, False]
    assert found.covers(np.zeros((0, 2), np.int32)).shape == (0,)
    assert found.intersects(Box(19, 29, 20, 30))
    assert found.intersects(Box(-50, -50, 11, 21))
    assert not found.intersects(Box(-50, -50, 10, 20))
    assert not found.intersects(Box(20, 0, 900, 900))
    assert not found.intersects(Box(-90, -90, -20, -20))
    assert found.fraction == 1 / 12


def test_the_rest_beyond_the_thumbnail_counts_as_its_last_pixels() -> None:
    """512 pixels divided into cells of 16.03 pixels give 31 whole cells and a rest."""
    found = TissueMask(np.ones((31, 31), np.bool_), 512 / 31.94)
    assert found.covers(np.array([[511, 511], [0, 511], [511, 0]])).all()
    assert found.intersects(Box(500, 500, 512, 512))
    assert not found.covers(np.array([[520, 5], [5, 600]])).any()
    assert not found.intersects(Box(0, 530, 512, 600))
    bare = TissueMask(np.zeros((31, 31), np.bool_), 512 / 31.94)
    assert not bare.covers(np.array([[511, 511]])).any()
    assert not bare.intersects(Box(500, 500, 512, 512))


def test_the_whole_slide_as_tissue() -> None:
    found = whole_slide((1001, 513))
    assert found.covers(np.array([[0, 0], [1000, 512]])).all()
    assert found.intersects(Box(1000, 512, 1001, 513))
    assert found.fraction == 1.0


SLIDE_YX = (2000, 3000)
SQUARE = [[[100, 200], [500, 200], [500, 600], [100, 600], [100, 200]]]
DIAMOND = [[[1000, 900], [1100, 1000], [1000, 1100], [900, 1000], [1000, 900]]]
POLYGON = {"type": "Polygon", "coordinates": SQUARE}
MULTI = {"type": "MultiPolygon", "coordinates": [SQUARE, DIAMOND]}


def feature(geometry: Any) -> dict[str, Any]:
    properties = {"objectType": "annotation", "classification": {"name": "Tumor", "color": [200, 0, 0]}}
    return {"type": "Feature", "id": "8f3c", "geometry": geometry, "properties": properties}


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "region.geojson"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    "document",
    [
        POLYGON,
        MULTI,
        feature(POLYGON),
        [feature(POLYGON)],
        {"type": "FeatureCollection", "features": [feature(POLYGON), feature(None)]},
        {"type": "GeometryCollection", "geometries": [POLYGON]},
        {"type": "FeatureCollection", "features": [feature(POLYGON), feature(POLYGON)]},
    ],
)
def test_every_layout_of_geojson_is_read(tmp_path: Path, document: Any) -> None:
    region = tissue_from_geojson(written(tmp_path, document), SLIDE_YX)
    # points are (y, x), GeoJSON is (x, y)
    points = np.array([[201, 101], [599, 499], [199, 300], [300, 501], [-5, 300]])
    assert region.covers(points).tolist() == [True, True, False, False, False]
    assert region.intersects(Box(0, 0, 201, 101))
    assert not region.intersects(Box(0, 0, 199, 99))
    assert region.flags == ()
    assert region.fraction == pytest.approx(region.region.area / 6e6, rel=0.1)


def test_gzip_is_read(tmp_path: Path) -> None:
    path = tmp_path / "region.geojson.gz"
    path.write_bytes(gzip.compress(json.dumps(POLYGON).encode()))
    assert tissue_from_geojson(path, SLIDE_YX).region.area == 160_000


def test_holes_and_islands_in_them(tmp_path: Path) -> None:
    def ring(margin: int) -> list[list[int]]:
        low, high = 100 + margin, 1700 - margin
        return [[low, low], [high, low], [high, high], [low, high], [low, low]]

    document = {"type": "MultiPolygon", "coordinates": [[ring(600)], [ring(0), ring(300)]]}
    found = tissue_from_geojson(written(tmp_path, document), SLIDE_YX)
    points = np.array([[150, 900], [500, 900], [900, 900]])
    assert found.covers(points).tolist() == [True, False, True]
    assert TissueMask(found.mask, found.downsample).covers(points).tolist() == [True, False, True]


def test_a_bow_tie_is_repaired_and_reported(tmp_path: Path) -> None:
    tie = {"type": "Polygon", "coordinates": [[[0, 0], [400, 400], [400, 0], [0, 400], [0, 0]]]}
    found = tissue_from_geojson(written(tmp_path, tie), SLIDE_YX)
    assert found.flags == ("repaired",)
    assert found.region.is_valid
    assert found.region.area == 80_000


def test_a_region_is_cut_to_the_slide(tmp_path: Path) -> None:
    beyond = {
        "type": "Polygon",
        "coordinates": [[[2900, -50], [3900, -50], [3900, 100], [2900, 100], [2900, -50]]],
    }
    found = tissue_from_geojson(written(tmp_path, beyond), SLIDE_YX)
    assert found.region.equals(shapely.box(2900, 0, 3000, 100))


def test_the_mask_of_a_huge_slide_is_bounded(tmp_path: Path) -> None:
    found = tissue_from_geojson(written(tmp_path, POLYGON), (900_000, 800_000))
    assert found.mask.size <= 16_000_000


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("not json", "not valid GeoJSON"),
        ("", "not valid GeoJSON"),
        ("5", "not a geometry"),
        ("null", "not a geometry"),
        ({"nothing": 1}, "not a geometry"),
        ({"type": "Point", "coordinates": [3, 4]}, "contains a Point"),
        (feature({"type": "LineString", "coordinates": [[0, 0], [5, 5]]}), "contains a LineString"),
        ({"type": "FeatureCollection", "features": []}, "contains no geometry"),
        ([], "contains no geometry"),
        (feature(None), "contains no geometry"),
        ({"type": "Polygon", "coordinates": []}, "nothing with an area"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [9, 9]]]}, "broken Polygon"),
        ({"type": "Polygon", "coordinates": [[["a", "b"], [1, 2], [3, 4], ["a", "b"]]]}, "not valid|broken"),
        (
            '{"type": "Polygon", "coordinates": [[[NaN, 0], [9, 0], [9, 9], [NaN, 0]]]}',
            "not valid|not finite",
        ),
        (
            '{"type": "Polygon", "coordinates": [[[1e999, 0], [9, 0], [9, 9], [1e999, 0]]]}',
            "no pixels of a slide",
        ),
        ({"type": "Polygon", "coordinates": [[[-9, -9], [-5, -9], [-5, -5], [-9, -9]]]}, "outside the slide"),
        ({"type": "Polygon", "coordinates": 7}, "broken|not valid"),
        ({"type": "Polygon"}, "broken|nothing with an area"),
        ("[" * 100_000, "not valid GeoJSON"),
    ],
)
def test_invalid_regions_are_refused(tmp_path: Path, document: Any, message: str) -> None:
    path = written(tmp_path, document)
    with pytest.raises(RequestError, match=message) as caught:
        tissue_from_geojson(path, SLIDE_YX)
    assert str(path) in str(caught.value)


def test_a_missing_or_damaged_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot be read"):
        tissue_from_geojson(tmp_path / "none.geojson", SLIDE_YX)
    cut = tmp_path / "cut.geojson.gz"
    cut.write_bytes(gzip.compress(json.dumps(MULTI).encode())[:-20])
    with pytest.raises(RequestError, match="not valid|cannot be read|damaged"):
        tissue_from_geojson(cut, SLIDE_YX)


@pytest.mark.skipif(not SLIDE.exists(), reason="needs the shared slide")
def test_a_real_slide_is_nearly_all_tissue() -> None:
    openslide = pytest.importorskip("openslide")
    with openslide.OpenSlide(SLIDE) as slide:
        thumbnail = np.asarray(slide.get_thumbnail((2220 // 16, 2967 // 16)).convert("RGB"))
    found = find_tissue(thumbnail, 16.0, SETTINGS)
    assert 0.6 < found.fraction < 1.0
    assert found.flags == ()
