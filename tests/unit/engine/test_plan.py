from sac_wsi.engine import plan as plans
from sac_wsi.engine.config import load_config
from sac_wsi.testing import SyntheticSlide


def test_the_thumbnail_of_a_large_slide_is_bounded(tmp_path, monkeypatch):
    SyntheticSlide(seed=2, shape_yx=(2000, 3000), tissue="blobs").write_tiff(tmp_path / "s.tiff")
    plan = plans.make_plan(tmp_path / "s.tiff", load_config())
    fine = plans.tissue_of(plan)
    monkeypatch.setattr(plans, "TISSUE_PX", 2000)
    coarse = plans.tissue_of(plan)
    assert fine.mask.size > 4000
    assert coarse.mask.size <= 2000
    assert abs(fine.fraction - coarse.fraction) < 0.15


def test_the_manifest_changes_only_with_what_decides_the_result(tmp_path):
    SyntheticSlide(seed=2, shape_yx=(600, 600)).write_tiff(tmp_path / "s.tiff")

    def manifest(*overrides):
        config = load_config(overrides=["model=classical", *overrides])
        return plans.make_plan(tmp_path / "s.tiff", config).manifest()

    assert manifest() == manifest("grid.block_tiles=2", "batch_tiles=1")
    assert manifest() != manifest("grid.tile_px=512")
    assert manifest() != manifest("classical.min_od=0.2")
