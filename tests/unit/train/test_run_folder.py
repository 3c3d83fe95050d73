"""A folder keeps one run; runs with older names of settings can be continued."""

import json
from dataclasses import replace

import pytest

from sac_wsi.errors import InputChanged
from sac_wsi.train.config import DataSettings, TrainConfig
from sac_wsi.train.run_folder import CONFIG, STATE, claim_folder, refuse_other


@pytest.fixture
def config(tmp_path):
    made = TrainConfig(data=DataSettings(images="images"), output_dir=str(tmp_path))
    claim_folder(made)
    (tmp_path / STATE).touch()
    return made


def test_a_run_with_the_first_names_of_renamed_settings_can_be_continued(config, tmp_path):
    path = tmp_path / CONFIG
    values = json.loads(path.read_text())
    use = values["inference"]
    for section, new, old in (
        (use, "mode", "way"),
        (use, "faint_probability", "faintest"),
        (use, "label_offset_yx", "learnt_off_yx"),
        (use["centres"], "min_prominence", "rise"),
        (use["points"], "mode", "way"),
    ):
        section[old] = section.pop(new)
    path.write_text(json.dumps(values))
    refuse_other(config)
    other = replace(config, inference=replace(config.inference, faint_probability=0.5))
    with pytest.raises(InputChanged, match=r"inference\.faint_probability 1\.0, and it is 0\.5 now"):
        refuse_other(other)
