"""What macOS and Windows lack is simulated absent: the package still imports and works."""

import os
import signal
import subprocess
import sys

import pytest

from sac_wsi.system import disk, interrupt, memory

ABSENT = """
import asyncio, multiprocessing.resource_tracker, os, signal, subprocess, sys, tempfile, types
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
sys.modules["msvcrt"] = types.SimpleNamespace(locking=lambda *_: None, LK_NBLCK=2)
import sac_wsi.system.locks
del sys.modules["msvcrt"]  # by it other libraries would recognize Windows
for name in ("getuid", "preadv", "pread", "sched_getaffinity", "O_NOFOLLOW", "O_CLOEXEC"):
    delattr(os, name)
os.process_cpu_count = os.cpu_count  # its own one asks sched_getaffinity, from Python 3.13
for name in ("SIGTERM", "pthread_sigmask"):
    delattr(signal, name)
"""
"""The standard library chooses its own modules first: only sac-wsi has to do without."""

SEGMENT = """
import sys
from pathlib import Path
from sac_wsi.system import disk, interrupt, locks
disk.WINDOWS = locks.WINDOWS = True
disk._open_nameless = lambda folder: None
interrupt.listen()
from sac_wsi.engine.config import load_config
from sac_wsi.engine.segment import segment_slide
from sac_wsi.testing import SyntheticSlide
slide = SyntheticSlide(seed=3, shape_yx=(300, 400)).write_tiff(Path(sys.argv[1]) / "a.tiff")
out = Path(sys.argv[1]) / "a.geojson"
run = segment_slide(slide, out, config=load_config(overrides=["model=classical", "tissue=none"]))
assert len(run.nuclei) > 3
assert sorted(path.name for path in out.parent.iterdir()) == ["a.geojson", "a.tiff", "a.zarr"]
"""


@pytest.mark.parametrize(
    "module",
    [
        "cli",
        "cli.segment",
        "cli.models",
        "engine.segment",
        "engine.executors",
        "weights.download",
        "store.run",
        "verify.check_run",
        "datasets.pack",
    ],
)
def test_modules_import(module):
    subprocess.run([sys.executable, "-c", f"{ABSENT}\nimport sac_wsi.{module}"], check=True)


def test_a_slide_is_segmented(tmp_path):
    subprocess.run([sys.executable, "-c", ABSENT + SEGMENT, str(tmp_path)], check=True)


def test_without_mallopt_a_task_begins(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    memory._glibc.cache_clear()
    try:
        assert memory._glibc() is None
        memory.begin_task("a stage")
    finally:
        memory._glibc.cache_clear()


def test_folders_are_not_synced_on_windows(tmp_path, monkeypatch):
    disk.sync_folder(tmp_path)
    monkeypatch.setattr(disk, "WINDOWS", True)
    monkeypatch.delattr(os, "fsync")
    disk.sync_folder(tmp_path)


def test_windows_renames_and_removes_closed_files(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "WINDOWS", True)
    with (tmp_path / "a").open("wb") as file:
        disk.rename_open_file(file, tmp_path / "a", tmp_path / "b")
        assert file.closed
    with (tmp_path / "b").open("rb") as file:
        disk.remove_open_file(file, tmp_path / "b")
        assert file.closed
    assert not list(tmp_path.iterdir())


def test_the_temporary_folder_is_named_after_the_user(monkeypatch):
    assert disk.user_temporary_folder("x").name == f"x-{os.getuid()}"
    monkeypatch.delattr(os, "getuid")
    monkeypatch.setenv("LOGNAME", "somebody")
    assert disk.user_temporary_folder("x").name == "x-somebody"


def test_without_masks_of_signals_the_block_still_runs(monkeypatch):
    monkeypatch.delattr(signal, "pthread_sigmask")
    with interrupt.blocked_in_children():
        pass


def test_a_swallowed_ctrl_c_is_remembered(monkeypatch):
    monkeypatch.setattr(interrupt, "_stop_requested", False)
    interrupt.check()
    with pytest.raises(KeyboardInterrupt):
        interrupt._stop()
    with pytest.raises(KeyboardInterrupt):
        interrupt.check()
