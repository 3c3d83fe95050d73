"""The range check of settings."""

import math

import pytest

from sac_wsi.errors import ConfigError
from sac_wsi.settings.checks import check_range
from sac_wsi.tissue.find import TissueSettings


@pytest.mark.parametrize(
    ("value", "bounds", "needed"),
    [
        (-1, {"at_least": 0}, "needed at least 0"),
        (0, {"above": 0, "at_most": 1}, "needed above 0 and at most 1"),
        (1, {"at_least": 0, "below": 1}, "needed at least 0 and below 1"),
        (2.5, {"at_most": 1}, "needed at most 1"),
        (math.nan, {}, "needed a finite number"),
        (math.inf, {"above": 0}, "needed above 0"),
    ],
)
def test_the_message_names_setting_value_and_limits(value, bounds, needed):
    with pytest.raises(ConfigError) as caught:
        check_range("a.b", value, **bounds)
    assert str(caught.value) == f"a.b is {value}: {needed}."


@pytest.mark.parametrize(
    ("value", "bounds"), [(0, {"at_least": 0, "at_most": 0}), (0.5, {"above": 0, "below": 1})]
)
def test_values_in_the_range_pass(value, bounds):
    check_range("a.b", value, **bounds)


@pytest.mark.parametrize(
    ("name", "value"), [("um_per_px", 0.0), ("margin_um", -1.0), ("dark_od", math.nan), ("black_value", -1)]
)
def test_settings_of_the_search_for_tissue(name, value):
    with pytest.raises(ConfigError, match=f"find_tissue.{name} is {value}"):
        TissueSettings(**{name: value})
