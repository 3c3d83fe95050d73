"""Settings of inference: names that enter hashes, limits in pixels, and messages for renamed settings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sac_wsi.errors import ConfigError
from sac_wsi.model.checkpoint.inference import InferenceSettings, check_names

AREA_UM2 = st.floats(0, 500)
MPP = st.floats(0.05, 2.0)


@given(AREA_UM2, MPP)
def test_the_mask_limit_in_pixels_keeps_the_masks_that_the_limit_in_um2_keeps(area_um2, mpp):
    limit = InferenceSettings(min_area_um2=area_um2).in_pixels(mpp).min_mask_area_px
    area_px = np.arange(max(0, limit - 3), limit + 3, dtype=np.int32)
    np.testing.assert_array_equal(area_px >= limit, area_px * mpp**2 >= area_um2)


@given(AREA_UM2, MPP)
def test_the_limits_of_all_modes_differ_by_at_most_a_pixel(area_um2, mpp):
    settings = InferenceSettings(min_area_um2=area_um2).in_pixels(mpp)
    assert settings.min_area_px >= 1
    assert abs(settings.min_area_px - settings.min_mask_area_px) <= 1


def test_settings_in_pixels_keep_all_other_settings():
    settings = InferenceSettings("instance", negatives=3, nms_iou=0.3, label_offset_yx=(0.5, -0.5))
    values = vars(settings.in_pixels(0.25))
    assert {name: values[name] for name in vars(settings)} == vars(settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"way": "prompter"}, r"sac\.way is now sac\.mode"),
        ({"faintest": 0.5}, r"sac\.faintest is now sac\.faint_probability"),
        ({"learnt_off_yx": [0, 0]}, r"sac\.learnt_off_yx is now sac\.label_offset_yx"),
        ({"centres": {"rise": 0.1}}, r"sac\.centres\.rise is now sac\.centres\.min_prominence"),
        ({"points": {"way": "R"}}, r"sac\.points\.way is now sac\.points\.mode"),
    ],
)
def test_a_first_name_of_a_setting_is_answered_with_its_new_name(changes, message):
    with pytest.raises(ConfigError, match=message):
        check_names(changes)


def test_new_names_are_accepted():
    check_names({"mode": "prompter", "centres": {"min_prominence": 0.1}})


def test_the_hash_of_the_default_settings_never_changes():
    assert InferenceSettings().hashed() == {
        "way": "semantic",
        "points": {"way": "O", "tau": 0.5, "positive": 64, "negative": 64, "seed": 0},
        "centres": {"foreground": 0.5, "rise": 0.07},
        "mask_probability": 0.5,
        "faintest": 1.0,
        "negatives": 0,
        "window_cells": 16,
        "multimask": False,
        "box_round": False,
        "nms_iou": 0.5,
        "min_score": 0.0,
        "min_probability": 0.0,
        "min_area_um2": 4.0,
        "prompts_at_once": 64,
        "tta": 1,
        "learnt_off_yx": (0.0, 0.0),
    }
