from xml.etree import ElementTree

from markupsafe import Markup

from sac_wsi.charts.markup import standalone_svg, tag

EVIL = "<script>\"&amp;'"


def test_text_and_attributes_are_escaped_and_markup_is_not():
    element = ElementTree.fromstring(tag("p", EVIL, tag("b", EVIL), class_=EVIL, aria_label="x"))
    assert element.text == element.find("b").text == element.get("class") == EVIL
    assert element.get("aria-label") == "x"
    assert tag("img", src="a") == Markup('<img src="a">')


def test_a_standalone_svg_is_an_xml_file_of_the_size_that_its_parts_need():
    root = ElementTree.fromstring(standalone_svg(EVIL, ["one", EVIL], (100, 50), tag("g")))
    assert [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")] == [EVIL, "one", EVIL]
    assert (root.get("width"), root.get("height"), root.get("aria-label")) == ("100", "128", EVIL)
