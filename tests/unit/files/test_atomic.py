"""Files appear complete or not at all, replace only what they may, and leave nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sac_wsi.errors import OutputError, WriteError
from sac_wsi.files.atomic import anything, atomic_file
from sac_wsi.files.regular import read_regular
from sac_wsi.system import disk


@pytest.fixture(params=["nameless", "named", "named, no hard links"])
def any_disk(request, monkeypatch):
    """A disk that knows files without a name, one that does not, and one without hard links."""
    if request.param != "nameless":
        monkeypatch.setattr(disk, "_open_nameless", lambda folder: None)
    if request.param.endswith("links"):

        def no_link(source, target, **options):
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(os, "link", no_link)


def write(path, data, *may_replace):
    with atomic_file(path, *may_replace) as file:
        file.write(data)


def test_a_file_appears_under_its_name_and_nothing_else(any_disk, tmp_path):
    write(tmp_path / "a", b"one")
    assert (tmp_path / "a").read_bytes() == b"one"
    write(tmp_path / "a", b"two", anything)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"two"}


def test_a_file_of_somebody_else_stays(any_disk, tmp_path):
    (tmp_path / "a").write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists, and it is not replaced"):
        write(tmp_path / "a", b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"mine"}


def test_a_file_that_appears_while_another_is_written_stays(any_disk, tmp_path):
    with pytest.raises(OutputError, match="not replaced"), atomic_file(tmp_path / "a"):
        (tmp_path / "a").write_bytes(b"mine")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"mine"}


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "fifo"])
def test_what_is_not_a_file_is_never_replaced(any_disk, tmp_path, kind):
    (tmp_path / "target").write_bytes(b"mine")
    path = tmp_path / "a"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / ("target" if kind == "link" else "nowhere"))
    with pytest.raises(OutputError, match="is not a file"):
        write(path, b"new", anything)
    assert (tmp_path / "target").read_bytes() == b"mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "target"]


def test_an_error_leaves_nothing(any_disk, tmp_path):
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), atomic_file(tmp_path / "a"):
            raise error
    assert not list(tmp_path.iterdir())


def test_a_full_disk_says_what_to_do(any_disk, tmp_path):
    with pytest.raises(WriteError, match="Free some space"), atomic_file(tmp_path / "a"):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_an_error_of_the_request(any_disk, tmp_path):
    with pytest.raises(OutputError, match="existing, writable folder"):
        write(tmp_path / "no" / "a", b"")


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="the system has no files without a name")
def test_a_killed_process_leaves_nothing(tmp_path):
    code = f"""
import os
from pathlib import Path
from sac_wsi.files.atomic import atomic_file
with atomic_file(Path({str(tmp_path / "a")!r})) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert not list(tmp_path.iterdir())


def test_the_umask_decides_the_mode(any_disk, tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_small_files_are_regular_and_small(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("a")
    os.mkfifo(tmp_path / "fifo")
    assert read_regular(tmp_path / "a", 5) == b"12345"
    assert read_regular(tmp_path / "link", 5, follow_links=True) == b"12345"
    with pytest.raises(ValueError, match="more than 4 bytes"):
        read_regular(tmp_path / "a", 4)
    for other in (tmp_path / "link", tmp_path / "fifo", Path("/dev/zero"), tmp_path, tmp_path / "no"):
        with pytest.raises(OSError):  # noqa: PT011 - any error of the system
            read_regular(other, 5)
