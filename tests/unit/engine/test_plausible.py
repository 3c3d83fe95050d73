"""Warnings about results that are unlikely, and none about likely ones."""

import numpy as np
import pytest
import zarr

from sac_wsi.engine.plausible import FEWEST, implausible
from sac_wsi.nuclei.table import MEASUREMENTS


@pytest.fixture
def store(tmp_path):
    def make(count, area_um2=25.0, haematoxylin_od=0.4):
        values = np.zeros((count, len(MEASUREMENTS)), np.float32)
        values[:, MEASUREMENTS.index("Area µm^2")] = area_um2
        values[:, MEASUREMENTS.index("Hematoxylin: Mean")] = haematoxylin_od
        zarr.create_array(tmp_path / "x.zarr", name="nuclei/measurements", data=values, overwrite=True)
        zarr.create_array(tmp_path / "x.zarr", name="nuclei/id", data=np.arange(count), overwrite=True)
        return tmp_path / "x.zarr"

    return make


@pytest.mark.parametrize("area_um2", [10, 25, 45])
def test_usual_nuclei_bring_no_warning(store, area_um2):
    assert implausible(store(5000, area_um2), 0.25, 2.0, 50) == []


@pytest.mark.parametrize(("area_um2", "mpp", "fits"), [(5.5, 0.25, "0.5"), (88, 0.5, "0.25")])
def test_a_wrong_resolution_is_suspected_and_a_fitting_one_named(store, area_um2, mpp, fits):
    (warning,) = implausible(store(5000, area_um2), mpp, 2.0, 0)
    assert f"is {mpp} µm per pixel right? --mpp {fits} would fit" in warning


def test_of_few_nuclei_nothing_is_said(store):
    assert implausible(store(FEWEST - 1, 500.0, 0.0), 0.25, 0.5, 0) == []


def test_nuclei_without_haematoxylin(store):
    (warning,) = implausible(store(5000, 25, 0.02), 0.25, 2.0, 0)
    assert "hardly any haematoxylin (optical density 0.02)" in warning


def test_many_objects_at_the_limit_of_size(store):
    (warning,) = implausible(store(5000), 0.25, 2.0, 1200)
    assert "1,200 objects were larger than the halo" in warning


@pytest.mark.parametrize("count", [0, 20])
def test_large_tissue_with_few_nuclei(store, count):
    (warning,) = implausible(store(count), 0.25, 10.0, 0)
    assert f"only {count} nuclei in 10.0 mm² of tissue" in warning
