import json
import subprocess
import sys

import numpy as np
import pytest

from sac_wsi.engine.journal import discard, open_journal, publish
from sac_wsi.errors import InputChanged, OutputError, StoreError

MANIFEST = {"grid": {"tile_px": 512}, "slide": "abc"}


def test_the_next_run_finds_what_was_saved(tmp_path):
    folder = tmp_path / "x.zarr.partial"
    with open_journal(folder, MANIFEST) as journal:
        journal.save("found", 7, {"a": np.arange(3)})
    with open_journal(folder, MANIFEST) as journal:
        assert journal.missing("found", [6, 7, 8]) == [6, 8]
        assert journal.load("found", 7)["a"].tolist() == [0, 1, 2]
        assert journal.load("found", 7, []) == {}


def test_a_changed_setting_is_refused_and_named(tmp_path):
    with open_journal(tmp_path / "p", MANIFEST):
        pass
    with (
        pytest.raises(InputChanged, match="grid.tile_px was 512, now 1024"),
        open_journal(tmp_path / "p", {**MANIFEST, "grid": {"tile_px": 1024}}),
    ):
        pass


def test_a_second_run_on_the_same_output_is_refused(tmp_path):
    with (
        open_journal(tmp_path / "p", MANIFEST),
        pytest.raises(OutputError, match="still running"),
        open_journal(tmp_path / "p", MANIFEST),
    ):
        pass


def test_the_lock_of_a_dead_process_is_free(tmp_path):
    code = f"""
import os, sys
from pathlib import Path
from sac_wsi.engine.journal import open_journal
with open_journal(Path({str(tmp_path / "p")!r}), {MANIFEST!r}):
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with open_journal(tmp_path / "p", MANIFEST) as journal:
        assert not journal.has("found", 0)


def test_a_damaged_block_is_named_with_what_to_do(tmp_path):
    with open_journal(tmp_path / "p", MANIFEST) as journal:
        journal.save("found", 0, {"a": np.arange(1000)})
        file = tmp_path / "p" / "found" / "0000000.columns"
        file.write_bytes(file.read_bytes()[:-100])
        with pytest.raises(StoreError, match="Delete that file"):
            journal.load("found", 0)


def test_publishing_is_one_rename_and_leaves_no_partial(tmp_path):
    with open_journal(tmp_path / "x.zarr.partial", MANIFEST) as journal:
        journal.publish_folder.mkdir()
        (journal.publish_folder / "zarr.json").write_text("{}")
        publish(journal, tmp_path / "x.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["x.zarr"]


def test_publishing_replaces_an_older_store(tmp_path):
    (tmp_path / "x.zarr").mkdir()
    (tmp_path / "x.zarr" / "old").touch()
    with open_journal(tmp_path / "x.zarr.partial", MANIFEST) as journal:
        journal.publish_folder.mkdir()
        publish(journal, tmp_path / "x.zarr")
    assert list((tmp_path / "x.zarr").iterdir()) == []


def test_discard_refuses_a_run_in_progress(tmp_path):
    folder = tmp_path / "p"
    with open_journal(folder, MANIFEST), pytest.raises(OutputError, match="still running"):
        discard(folder)
    discard(folder)
    assert not folder.exists()
    discard(folder)


def test_the_manifest_is_readable(tmp_path):
    with open_journal(tmp_path / "p", MANIFEST):
        pass
    assert json.loads((tmp_path / "p" / "manifest.json").read_text()) == MANIFEST
