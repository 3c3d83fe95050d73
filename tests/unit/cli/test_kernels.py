import os

import pytest

from sac_wsi.cli import kernels


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "_PACKAGE", tmp_path / "package")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", "unset below")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    (tmp_path / "package").mkdir()
    return tmp_path / "package"


def test_a_writable_package_needs_nothing(package):
    kernels.set_kernel_folder()
    assert "NUMBA_CACHE_DIR" not in os.environ


def test_nowhere_to_write_gets_a_temporary_folder(package, monkeypatch):
    monkeypatch.setattr(kernels.os, "access", lambda *_: False)
    kernels.set_kernel_folder()
    assert "sac-wsi-kernels" in os.environ["NUMBA_CACHE_DIR"]


def test_the_first_run_says_what_takes_so_long(package, capsys):
    kernels.announce_compilation()
    assert "First run" in capsys.readouterr().err
    (package / "kernel.nbi").touch()
    kernels.announce_compilation()
    assert capsys.readouterr().err == ""
