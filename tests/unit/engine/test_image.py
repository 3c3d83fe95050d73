"""An image in memory gives the same nuclei as the same image in a file."""

import numpy as np
import pytest
from PIL import Image

import sac_wsi
from sac_wsi.errors import DataError
from sac_wsi.geometry import Box
from sac_wsi.testing import SyntheticSlide

CONFIG = sac_wsi.load_config(overrides=["model=classical"])


@pytest.fixture(scope="module")
def rgb():
    return SyntheticSlide(seed=3, shape_yx=(300, 420)).render(Box(0, 0, 300, 420))


def test_it_is_as_from_a_file(rgb, tmp_path):
    found = sac_wsi.segment_image(rgb, mpp=0.25, config=CONFIG)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    run = sac_wsi.segment_slide(tmp_path / "a.png", tmp_path / "a.geojson", mpp=0.25, config=CONFIG)
    assert len(found) == len(run.nuclei) > 10
    np.testing.assert_array_equal(found.labels, np.asarray(run.labels()))
    assert found.nuclei["id"].tolist() == list(range(1, len(found) + 1))
    assert set(found.nuclei) == set(run.nuclei.keys())
    for i in (0, len(found) - 1):
        x, y = found.polygons[i].mean(axis=0)
        assert abs(x * 0.25 - found.nuclei["Centroid X µm"][i]) < 2
        assert abs(y * 0.25 - found.nuclei["Centroid Y µm"][i]) < 2


def test_labels_of_a_fine_image_have_its_size(rgb):
    found = sac_wsi.segment_image(rgb, mpp=0.15, config=CONFIG)
    assert found.labels.shape == rgb.shape[:2]


@pytest.mark.parametrize("shape", [(5, 5), (5, 5, 4), (0, 5, 3)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(DataError, match=r"needed \(height, width, 3\) uint8"):
        sac_wsi.segment_image(np.zeros(shape, np.uint8), mpp=0.25)


def test_the_nuclei_as_a_data_frame(rgb, tmp_path):
    pandas = pytest.importorskip("pandas")
    Image.fromarray(rgb).save(tmp_path / "a.png")
    run = sac_wsi.segment_slide(tmp_path / "a.png", tmp_path / "a.geojson", mpp=0.25, config=CONFIG)
    frame = run.nuclei.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == len(run.nuclei)
    assert frame["uuid"].str.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").all()
    assert frame["Area µm^2"].mean() == pytest.approx(float(run.nuclei["Area µm^2"].mean()), rel=1e-5)
