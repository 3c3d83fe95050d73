import json
import os
import subprocess
import sys

import numpy as np
import pytest
import zarr

from sac_wsi.engine.journal import discard, open_journal, publish
from sac_wsi.errors import InputChanged, OutputError, StoreError
from sac_wsi.store.provenance import read_provenance

MANIFEST = {"version": "1", "slide": "abc", "model": {}, "config": {"tile_px": 512}}


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
        pytest.raises(InputChanged, match="config.tile_px was 512, now 1024"),
        open_journal(tmp_path / "p", {**MANIFEST, "config": {"tile_px": 1024}}),
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


def a_store(folder, **attributes):
    zarr.create_group(folder, attributes={"sac_wsi": {"format": 1, **attributes}})


def test_publishing_replaces_an_older_store_if_asked(tmp_path):
    a_store(tmp_path / "x.zarr", version="old")
    with open_journal(tmp_path / "x.zarr.partial", MANIFEST) as journal:
        a_store(journal.publish_folder, version="new")
        with pytest.raises(OutputError, match="made by another run while this one worked"):
            publish(journal, tmp_path / "x.zarr")
        publish(journal, tmp_path / "x.zarr", overwrite=True)
    assert read_provenance(tmp_path / "x.zarr", any_format=True)["version"] == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["x.zarr"]


@pytest.mark.parametrize("what", ["no store", "another file"])
def test_what_is_not_a_store_of_ours_is_not_replaced(tmp_path, what):
    if what == "no store":
        (tmp_path / "x.zarr").mkdir()
    else:
        a_store(tmp_path / "x.zarr")
    (tmp_path / "x.zarr" / "photo.jpg").write_text("mine")
    with open_journal(tmp_path / "x.zarr.partial", MANIFEST) as journal:
        a_store(journal.publish_folder)
        with pytest.raises(OutputError, match="not replaced"):
            publish(journal, tmp_path / "x.zarr", overwrite=True)
    assert (tmp_path / "x.zarr" / "photo.jpg").read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["photo.jpg", "found/notes.txt", "found/0000001.columns/x", "manifest.json", "lock"]
)
def test_a_folder_of_somebody_else_is_neither_used_nor_emptied(tmp_path, name):
    path = tmp_path / "p" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    for work in (lambda: open_journal(tmp_path / "p", MANIFEST).__enter__(), lambda: discard(tmp_path / "p")):
        with pytest.raises(OutputError, match="sac-wsi did not write"):
            work()
    assert path.read_text() == "mine"


def test_files_of_somebody_else_in_the_folder_of_a_run_stay(tmp_path):
    with open_journal(tmp_path / "p", MANIFEST) as journal:
        journal.save("found", 1, {"a": np.arange(3)})
        (tmp_path / "p" / "found" / "notes.txt").write_text("mine")
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious" / "0000001.columns").write_text("mine")
        (tmp_path / "p" / "final").symlink_to(tmp_path / "precious")
        a_store(journal.publish_folder)
        publish(journal, tmp_path / "x.zarr")
    assert (tmp_path / "p" / "found" / "notes.txt").read_text() == "mine"
    assert (tmp_path / "precious" / "0000001.columns").read_text() == "mine"
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["final", "found"]


@pytest.mark.parametrize("name", ["manifest.json", "found/0000001.columns", "lock"])
def test_nothing_waits_for_a_fifo(tmp_path, name):
    with open_journal(tmp_path / "p", MANIFEST) as journal:
        journal.save("found", 1, {"a": np.arange(3)})
    (tmp_path / "p" / name).unlink()
    os.mkfifo(tmp_path / "p" / name)
    with (
        pytest.raises((OutputError, StoreError)),
        open_journal(tmp_path / "p", MANIFEST) as journal,
    ):
        journal.load("found", 1)


def test_starting_over_keeps_a_run_of_the_same_settings(tmp_path):
    """--overwrite that was killed and is repeated goes on."""
    with open_journal(tmp_path / "p", MANIFEST, start_over=True) as journal:
        journal.save("found", 1, {"a": np.arange(3)})
    with open_journal(tmp_path / "p", MANIFEST, start_over=True) as journal:
        assert journal.has("found", 1)
    with open_journal(tmp_path / "p", {**MANIFEST, "slide": "other"}, start_over=True) as journal:
        assert not journal.has("found", 1)


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
