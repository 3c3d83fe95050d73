"""Locks between processes, with fcntl and, simulated, with msvcrt."""

import importlib.util
import os
import shutil
import subprocess
import sys
import types

import pytest

from sac_wsi.system import locks
from sac_wsi.system.locks import AlreadyLocked, lock_folder


@pytest.fixture
def windows_locks(monkeypatch):
    """The module as Windows imports it; its locks are kept per file, as long as the file is open."""
    held = {}

    def locking(handle, _mode, _count):
        file = os.fstat(handle).st_ino
        if held.setdefault(file, handle) != handle:
            raise PermissionError

    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(locking=locking, LK_NBLCK=2))
    spec = importlib.util.spec_from_file_location("windows_locks", locks.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_second_lock_is_refused_until_the_first_ends(tmp_path):
    with lock_folder(tmp_path), pytest.raises(AlreadyLocked), lock_folder(tmp_path):
        pass
    with lock_folder(tmp_path):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom sac_wsi.system.locks import lock_folder\n"
        "with lock_folder(Path(sys.argv[1])):\n    print('locked', flush=True)\n    time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout.readline() == "locked\n"
            with pytest.raises(AlreadyLocked), lock_folder(tmp_path):
                pass
        finally:
            child.kill()
    with lock_folder(tmp_path):
        pass


def test_the_end_of_a_lock_leaves_the_lock_of_the_next_run(tmp_path):
    """A run removes its folder before its lock ends; in between the next run may make the folder again."""
    folder = tmp_path / "run"
    folder.mkdir()
    with lock_folder(folder):
        shutil.rmtree(folder)
        folder.mkdir()
        next_run = lock_folder(folder)
        next_run.__enter__()
    with pytest.raises(AlreadyLocked), lock_folder(folder):
        pass
    next_run.__exit__(None, None, None)


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), lock_folder(tmp_path / "none"):
        pass


def test_with_msvcrt(tmp_path, windows_locks):
    with (
        windows_locks.lock_folder(tmp_path),
        pytest.raises(windows_locks.AlreadyLocked),
        windows_locks.lock_folder(tmp_path),
    ):
        pass


def test_windows_removes_the_folder_after_the_lock(tmp_path, monkeypatch):
    """An open file cannot be removed there: the lock file is left when everything else is gone."""
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setattr(locks, "WINDOWS", True)
    with lock_folder(folder):
        assert (folder / "lock").exists()
    assert not folder.exists()


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_a_lock_file_of_somebody_else_is_neither_followed_nor_waited_for(tmp_path, kind):
    folder = tmp_path / "run"
    folder.mkdir()
    if kind == "link":
        (folder / "lock").symlink_to(tmp_path / "precious")
    else:
        os.mkfifo(folder / "lock")
    with pytest.raises(OSError), lock_folder(folder):  # noqa: PT011 - any error of the system
        pass
    assert not (tmp_path / "precious").exists()


def test_a_lock_on_a_file_that_was_removed_is_none(tmp_path, monkeypatch):
    """Between opening and locking, the run that held the lock may remove the folder."""
    real = locks.lock_open_file

    def removed_meanwhile(file):
        (tmp_path / "lock").unlink()
        real(file)

    monkeypatch.setattr(locks, "lock_open_file", removed_meanwhile)
    with pytest.raises(AlreadyLocked), lock_folder(tmp_path):
        pass


def test_windows_keeps_the_folder_of_an_unfinished_run(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "WINDOWS", True)
    (tmp_path / "manifest.json").touch()
    with lock_folder(tmp_path):
        pass
    assert (tmp_path / "manifest.json").exists()
