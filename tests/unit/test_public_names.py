"""The names that `import sac_wsi` offers."""

import inspect
import re
import subprocess
import sys

import pytest

import sac_wsi

NAMES = sac_wsi.__all__
PACKAGES_OF_OTHERS = ("numpy", "zarr", "numba", "dask", "torch", "openslide", "shapely", "click")


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_can_be_imported_and_has_a_docstring(name):
    assert inspect.getdoc(getattr(sac_wsi, name))
    assert name in dir(sac_wsi)


def test_the_package_lists_its_public_names_with_a_line_each():
    assert sorted(re.findall(r"^``(\w+)``  +\w.*\.", sac_wsi.__doc__, re.MULTILINE)) == sorted(NAMES)


def test_the_names_for_type_checkers_are_those_that_are_imported():
    source = inspect.getsource(sac_wsi)
    checked = {
        name.strip(): module
        for module, names in re.findall(r"^    from ([\w.]+) import (.+)$", source, re.MULTILINE)
        for name in names.split(",")
    }
    assert checked == sac_wsi._MODULE_OF


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'segment_slides'"):
        sac_wsi.segment_slides  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    code = f"import sys, sac_wsi; print([m for m in {PACKAGES_OF_OTHERS!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
