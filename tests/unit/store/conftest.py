"""The store of a small slide whose nuclei are known."""

import pytest

from sac_wsi import load_config, segment_slide
from sac_wsi.testing import OracleSegmenter, SyntheticSlide


@pytest.fixture(scope="session")
def slide():
    return SyntheticSlide(seed=3, shape_yx=(700, 900))


@pytest.fixture(scope="session")
def run(slide, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    slide.write_tiff(folder / "slide.tiff")
    config = load_config(overrides=["grid.tile_px=512", "grid.halo_um=22", "tissue=none"])
    return segment_slide(
        folder / "slide.tiff", folder / "n.geojson", config=config, segmenter=OracleSegmenter(slide)
    )
