import numpy as np
import pytest

from sac_wsi.datasets.aperio_xml import read_annotation
from sac_wsi.datasets.monuseg import ORGAN_OF_PATIENT, open_monuseg
from sac_wsi.errors import DataError
from sac_wsi.testing.datasets import SQUARE, aperio, picture, save, two_squares

NAME = "TCGA-18-5592-01Z-00-DX1"
BILLION_LAUGHS = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;&b;">]>'


@pytest.fixture
def layout(tmp_path):
    save(tmp_path / "images" / f"{NAME}.tif", picture(1))
    (tmp_path / "xml").mkdir()
    (tmp_path / "xml" / f"{NAME}.xml").write_text(aperio([SQUARE, SQUARE[:2]]))
    return tmp_path


def opened(layout):
    return open_monuseg(layout / "images", layout / "xml")


def test_image_labels_organ_and_resolution(layout):
    data = opened(layout)
    rgb, labels = data.read(0)
    assert np.array_equal(rgb, picture(1))
    assert labels.dtype == np.int32
    assert np.unique(labels).tolist() == [0, 1]
    assert labels[21:29, 11:19].all()
    assert labels.sum() == 64
    sample = data.samples[0]
    assert (sample.name, sample.group, sample.mpp) == (NAME, "TCGA-18-5592", 0.252)
    assert sample.about == {"organ": "liver", "patient": "TCGA-18-5592"}


def test_images_and_annotations_in_one_folder_as_the_test_part_has_them(layout):
    (layout / "xml" / f"{NAME}.xml").rename(layout / "images" / f"{NAME}.xml")
    assert open_monuseg(layout / "images").read(0)[1].any()


def test_a_label_map_may_stand_for_an_annotation(layout):
    save(layout / "maps" / f"{NAME}.png", two_squares().astype(np.uint16))
    data = open_monuseg(layout / "images", layout / "maps")
    assert np.array_equal(data.read(0)[1], two_squares())
    assert data.samples[0].mpp == 0.25


def test_the_organs_are_those_of_44_patients():
    assert len(ORGAN_OF_PATIENT) == 44


def test_an_unknown_patient_is_a_group_of_its_own(layout):
    for folder, suffix in (("images", "tif"), ("xml", "xml")):
        (layout / folder / f"{NAME}.{suffix}").rename(layout / folder / f"TCGA-XX-1234-01Z.{suffix}")
    assert opened(layout).samples[0].group == "TCGA-XX-1234"


def test_a_missing_annotation_is_named(layout):
    save(layout / "images/other.tif", picture(2))
    with pytest.raises(DataError, match=r"other.tif has no annotation.*Add them"):
        opened(layout)
    lax = open_monuseg(layout / "images", layout / "xml", allow_missing=True)
    assert (len(lax), lax.missing) == (1, ("other.tif has no annotation",))


def test_an_image_without_nuclei(layout):
    (layout / "xml" / f"{NAME}.xml").write_text(aperio([]))
    assert not opened(layout).read(0)[1].any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "broken XML"),
        (aperio([SQUARE])[:-30], "broken XML"),
        ("<Other/>", "<Other>"),
        (aperio([[(1, 2), ("nan", 3), (4, 5)]]), "region 1 has X='nan'"),
        (aperio([[(1, 2), (3, "1e99"), (4, 5)]]), "region 1 has Y='1e99'"),
        (aperio([[(1, 2), (3, ""), (4, 5)]]), "region 1 has Y=''"),
        (aperio([SQUARE], head=BILLION_LAUGHS), "document type or an entity"),
        (aperio([SQUARE], head='<!DOCTYPE a SYSTEM "file:///etc/passwd">'), "document type or an entity"),
    ],
)
def test_a_broken_or_dangerous_annotation_is_named(layout, text, message):
    (layout / "xml" / f"{NAME}.xml").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        opened(layout).read(0)
    assert f"{NAME}.xml" in str(caught.value)


def test_a_document_type_is_seen_in_any_encoding(layout):
    path = layout / "xml" / f"{NAME}.xml"
    path.write_bytes(aperio([SQUARE], head=BILLION_LAUGHS).encode("utf-16"))
    with pytest.raises(DataError, match="document type"):
        read_annotation(path)


def test_negative_regions_and_rulers_are_no_nuclei(layout):
    path = layout / "xml" / f"{NAME}.xml"
    path.write_text(aperio([SQUARE], region='NegativeROA="1"'))
    assert read_annotation(path).polygons_xy == ()
    path.write_text(aperio([SQUARE]).replace('Type="0"', 'Type="4"'))
    assert read_annotation(path).polygons_xy == ()


def test_an_unreadable_image_is_named(layout):
    path = layout / "images" / f"{NAME}.tif"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=f"{NAME}.tif cannot be decoded"):
        opened(layout).read(0)


def test_no_images_at_all(tmp_path):
    with pytest.raises(DataError, match="no images of monuseg"):
        open_monuseg(tmp_path)
    with pytest.raises(DataError, match="not a folder"):
        open_monuseg(tmp_path / "nowhere")
