"""Which of the stated resolutions is used, and the warnings about the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from sac_wsi.errors import SlideError
from sac_wsi.slide.resolution.mpp import resolve

PATH = Path("A12.ndpi")
OPENSLIDE = {"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.25"}
OME = '<OME><Image><Pixels ID="P" PhysicalSizeX="{}" PhysicalSizeY="{}" {}SizeC="3"/></Image></OME>'


def ome(x: str, y: str, unit: str = "") -> dict[str, str]:
    return {"tiff.ImageDescription": OME.format(x, y, unit)}


@pytest.mark.parametrize(
    ("properties", "mpp", "source"),
    [
        (OPENSLIDE, 0.25, "openslide.mpp-x"),
        ({"openslide.mpp-x": "0,25"}, 0.25, "openslide.mpp-x"),
        ({"openslide.mpp-x": "0", "aperio.MPP": "0.5"}, 0.5, "aperio.MPP"),
        ({"ventana.ScanRes": "0.2325"}, 0.2325, "ventana.ScanRes"),
        (
            {"mirax.LAYER_0_LEVEL_0_SECTION.MICROMETER_PER_PIXEL_X": "0.23"},
            0.23,
            "mirax.LAYER_0_LEVEL_0_SECTION.MICROMETER_PER_PIXEL_X",
        ),
        (
            {"philips.DICOM_PIXEL_SPACING": '"0.00025" "0.00025"'},
            0.25,
            "philips.DICOM_PIXEL_SPACING",
        ),
        ({"tiff.XResolution": "40000", "tiff.ResolutionUnit": "centimeter"}, 0.25, "tiff.XResolution"),
        ({"tiff.XResolution": "101600", "tiff.ResolutionUnit": "inch"}, 0.25, "tiff.XResolution"),
        (
            {
                "tiff.XResolution": "4",
                "tiff.ResolutionUnit": "none",
                "tiff.ImageDescription": "ImageJ=1.5\nunit=micron\n",
            },
            0.25,
            "tiff.XResolution (ImageJ unit=micron)",
        ),
        (ome("0.25", "0.25"), 0.25, "OME PhysicalSizeX"),
        (ome("250", "250", 'PhysicalSizeXUnit="nm" PhysicalSizeYUnit="nm" '), 0.25, "OME PhysicalSizeX"),
        ({"png.dpi-x": "101600"}, 0.25, "png.dpi-x"),
    ],
)
def test_each_property_is_read_in_its_unit(properties: dict[str, str], mpp: float, source: str) -> None:
    found = resolve(properties, "aperio", PATH)
    assert found.mpp == pytest.approx(mpp)
    assert found.source == source


@pytest.mark.parametrize("value", ["0", "-0.25", "inf", "nan", "352.8", "84.67", "12", "0.01", "x", ""])
def test_an_implausible_value_counts_as_missing_with_a_warning(value: str) -> None:
    found = resolve({"openslide.mpp-x": value, "openslide.mpp-y": value}, "aperio", PATH)
    assert found.mpp is None
    assert found.source == ""
    assert "openslide.mpp-x" in found.warnings[0]


@pytest.mark.parametrize("dpi", ["72", "96", "150", "300", "600", "0"])
def test_resolutions_of_screens_and_printers_are_ignored(dpi: str) -> None:
    assert resolve({"jpeg.dpi-x": dpi}, "JPEG", PATH).mpp is None
    assert resolve({"tiff.XResolution": dpi, "tiff.ResolutionUnit": "inch"}, "TIFF", PATH).mpp is None


def test_pixels_that_are_not_square_are_refused_unless_the_user_gives_mpp() -> None:
    skewed = {"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.26"}
    with pytest.raises(SlideError, match=r"0\.25 x 0\.26.*--mpp"):
        resolve(skewed, "aperio", PATH)
    assert resolve(skewed, "aperio", PATH, 0.3).mpp == 0.3
    assert resolve({"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.2515"}, "aperio", PATH).mpp


def test_the_override_wins_and_is_named() -> None:
    found = resolve(OPENSLIDE, "aperio", PATH, 0.5)
    assert (found.mpp, found.source) == (0.5, "--mpp")


@pytest.mark.parametrize("override", [0.0, -1.0, float("nan"), float("inf"), 352.8, 0.04])
def test_an_implausible_override_is_refused(override: float) -> None:
    with pytest.raises(SlideError, match=r"needed 0\.05 to 10"):
        resolve(OPENSLIDE, "aperio", PATH, override)


@pytest.mark.parametrize(("objective", "warned"), [("40", False), ("20", True), ("10", True), ("x", False)])
def test_an_objective_that_contradicts_is_a_warning(objective: str, warned: bool) -> None:
    found = resolve({**OPENSLIDE, "openslide.objective-power": objective}, "aperio", PATH)
    assert bool(found.warnings) is warned


def test_a_hostile_description_is_searched_fast() -> None:
    assert resolve({"tiff.ImageDescription": "<Pixels " * 200_000}, "generic-tiff", PATH).mpp is None


@pytest.mark.parametrize(("override", "warned"), [(0.25, True), (0.5, False), (0.499, False), (1.0, True)])
def test_a_resolution_that_contradicts_the_files_own(override, warned):
    found = resolve({"tiatoolbox.mpp-x": "0.5", "tiatoolbox.mpp-y": "0.5"}, "tiatoolbox", PATH, override)
    assert found.mpp == override
    assert bool(found.warnings) is warned
    assert all("says 0.5 µm per pixel, but --mpp" in warning for warning in found.warnings)
