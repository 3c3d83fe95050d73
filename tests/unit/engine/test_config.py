from dataclasses import replace
from pathlib import Path

import pytest

from sac_wsi.engine.config import SegmentConfig, load_config
from sac_wsi.errors import ConfigError

CONFIGS = Path(__file__).parents[3] / "configs" / "segment"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_config_loads(path):
    load_config(path)


def test_the_config_files_of_defaults_hold_the_defaults():
    assert load_config(CONFIGS / "default.yaml") == SegmentConfig()
    defaults = SegmentConfig(model="classical")
    assert load_config(CONFIGS / "classical.yaml") == replace(defaults, grid=defaults.grid.resolved())


def test_settings_of_a_method_that_is_not_used_are_refused():
    with pytest.raises(ConfigError, match="the model is sac-tiny. Leave it out, or pass --model classical"):
        load_config(overrides=["classical.min_od=0.1"])


def test_overrides_come_after_the_file(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("grid: {tile_px: 512, halo_um: 30}\n")
    config = load_config(path, ["grid.halo_um=20", "model=classical"])
    assert (config.grid.tile_px, config.grid.halo_um) == (512, 20.0)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("grid.tile_pix=5", "Did you mean grid.tile_px"),
        ("gird.tile_px=5", "Did you mean grid"),
        ("grid.tile_px=5.5", "a whole number"),
        ("grid.tile_px=true", "a whole number"),
        ("grid.halo_um=.inf", "finite"),
        ("grid.halo_um=wide", "a number"),
        ("grid=5", "a section"),
        ("model.name=5", "a text"),
        ("grid.tile_px", "section.key=value"),
        ("=5", "section.key=value"),
        ("grid.tile_px.deep=5", "a whole number"),
        ("classical.mpp=-1", "mpp"),
    ],
)
def test_a_wrong_setting_is_named(override, message):
    with pytest.raises(ConfigError, match=message):
        load_config(overrides=[override])


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.system ['touch PWNED']", "a: [1", "- 1\n- 2", "\xff"]
)
def test_invalid_yaml_is_refused_and_runs_no_code(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "c.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError):
        load_config(path)
    assert not (tmp_path / "PWNED").exists()


def test_an_empty_file_is_the_defaults_and_a_missing_one_an_error(tmp_path):
    (tmp_path / "c.yaml").write_text("# nothing\n")
    assert load_config(tmp_path / "c.yaml") == SegmentConfig()
    with pytest.raises(ConfigError, match="Cannot read"):
        load_config(tmp_path / "gone.yaml")
