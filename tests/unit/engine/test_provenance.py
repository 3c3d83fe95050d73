"""What the store states about its origin."""

from dataclasses import replace

from sac_wsi.engine.blocks import FoundBlock
from sac_wsi.engine.journal import Journal
from sac_wsi.engine.plan import tissue_of
from sac_wsi.engine.provenance import Counts, provenance


def provenance_of(plan, journal, counts, tissue):
    return provenance(plan, plan.manifest(), tissue, plan.slide.with_name("n.zarr"), journal, counts)


def test_every_dropped_nucleus_is_counted(finished):
    plan = finished.plan
    nuclei = finished.found - finished.doubled - 3
    counts = Counts(nuclei, {"done": 9}, finished.doubled)
    known = provenance_of(plan, finished.journal, counts, tissue_of(plan))
    assert known["counts"] == {
        "nuclei": nuclei,
        "tiles": {"done": 9},
        "dropped": {"doubled": finished.doubled, "remnants": 3, "larger_than_halo": 0},
    }
    assert known["failures"] == []
    assert known["warnings"] == []
    assert known["slide"]["path"] == "slide.tiff"
    assert known["slide"]["fingerprint"] == plan.info.fingerprint
    assert known["manifest"] == plan.manifest()


def test_failures_are_listed_by_tile(plan, tmp_path):
    journal = Journal(tmp_path)
    for index in range(plan.grid.block_count):
        block = plan.grid.block(index)
        FoundBlock.failed(block, f"block {index}").save(journal, index)
    known = provenance_of(plan, journal, Counts(0, {"failed": 9}, 0), tissue_of(plan))
    assert [tile for tile, _ in known["failures"]] == list(range(9))
    assert known["failures"][2] == [2, "block 1"]


def test_flags_of_the_tissue_become_warnings(finished):
    tissue = replace(tissue_of(finished.plan), flags=("pen", "repaired"))
    known = provenance_of(finished.plan, finished.journal, Counts(0, {}, 0), tissue)
    assert known["warnings"] == [
        "pen marks were found and left out",
        "the tissue file held invalid polygons; they were repaired",
    ]
