"""Configs: odd values, traps and random text give one message or settings, nothing else."""

import os
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sac_wsi.engine.config import SegmentConfig, load_config
from sac_wsi.errors import SacWsiError
from sac_wsi.settings.read import read_settings
from sac_wsi.settings.typed import build

LINES = st.lists(
    st.sampled_from(
        [
            *("grid:", "  tile_px: 512", "  tile_px: 0b_", "  tile_px: 2001-01-01", "  halo_um: .inf", "- 1"),
            *("a: &a [1]", "b: *a", "? [x]", ": y", "sac: {}", "sac: [1]", "tissue: none", "model: 3", "\t"),
            *("grid: null", "<<: 3", "x: !!python/object:os.system {}", "y: !!int 'x'"),
            *("z: !!timestamp 1-13-45", "'", '"', "%", "{", "]"),
        ]
    ),
    max_size=6,
).map("\n".join)


def settle(path):
    """Return the config, or the message."""
    try:
        return build(SegmentConfig, read_settings(path, []))
    except SacWsiError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 600
    return message


@given(st.one_of(LINES, st.text(max_size=60), st.binary(max_size=60)))
@example("0b_")
@example("grid: {tile_px: " + "1" * 5001 + "}")
@example("[" * 3000)
@example("grid: {tile_px: 12:30:45}")
@example("? {a: b}\n: c")
def test_any_config_is_read_or_refused_in_one_line(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("c") / "c.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    settle(path)


@given(st.text(max_size=40))
@example("grid.tile_px=0b_")
@example("grid=*x")
@example("sac.tta=1" + "0" * 5001)
def test_any_override_is_read_or_refused(text):
    with suppress(SacWsiError):
        load_config(overrides=[text])


def test_an_alias_bomb_is_refused(tmp_path):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    names = "abcdefghij"
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise(names)]
    (tmp_path / "c.yaml").write_text("\n".join(lines))
    assert "aliases (*name) are not read, line 2" in settle(tmp_path / "c.yaml")


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "large"])
def test_what_is_no_small_file_is_refused(tmp_path, kind):
    path = tmp_path / "c.yaml"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text("# comment\n" * 200_000)
    assert "c.yaml" in settle(path)
