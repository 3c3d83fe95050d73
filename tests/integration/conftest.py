"""Slides with known nuclei, and the command line as a user calls it.

Run as a script, this file is a server that has loaded the libraries and forks a child for every command: the
same ``main()``, exit code and streams with a tenth of the start-up time, and faults can be injected.
"""

import atexit
import contextlib
import errno
import filecmp
import functools
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from sac_wsi.engine.config import load_config
from sac_wsi.testing import OracleSegmenter, SyntheticSlide

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "wsi"
SAC_WSI = Path(sys.executable).with_name("sac-wsi")
PATIENCE_S = 60


@pytest.fixture(scope="session")
def synthetic():
    return SyntheticSlide(seed=3, shape_yx=(1500, 1900), touching_fraction=0.3)


@pytest.fixture(scope="session")
def slide_file(synthetic, tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "slide.tiff"
    synthetic.write_tiff(path)
    return path


@pytest.fixture(scope="session")
def oracle(synthetic):
    return OracleSegmenter(synthetic)


@pytest.fixture
def small_grid():
    """Return a function for configs with many tiles and blocks on a small slide, to test all seams."""

    def config(tile_px=384, block_tiles=2, tissue="none"):
        return load_config(
            overrides=[
                f"grid.tile_px={tile_px}",
                f"grid.block_tiles={block_tiles}",
                f"tissue={tissue}",
                "grid.halo_um=22",
            ]
        )

    return config


@pytest.fixture(scope="session")
def real_slide():
    path = SHARED / "CMU-1-Small-Region.svs"
    if not path.exists():
        pytest.skip("the real slide is missing")
    return path


@dataclass(frozen=True)
class Outcome:
    """The result of a command: exit code (negative for a signal) and both streams."""

    code: int
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("sac-wsi:")]

    @property
    def json(self):
        return json.loads(self.out)

    def refused(self, *words: str, code: int = 2) -> None:
        """Assert that one line says why, and that nothing looks like a crash."""
        printed = f"exit {self.code}\n{self.out}\n{self.err}"
        assert self.code == code, printed
        assert len(self.complaints) == 1, printed
        for word in words:
            assert word in self.complaints[0], printed
        assert "Traceback" not in self.out + self.err, printed

    def went_well(self) -> "Outcome":
        printed = f"exit {self.code}\n{self.out}\n{self.err}"
        assert self.code == 0, printed
        assert not self.complaints, printed
        assert "Traceback" not in self.out + self.err, printed
        return self


class CommandLine:
    """Run `sac-wsi`: in a forked child, as installed (``fresh``), or without waiting (``start``)."""

    def __init__(self, folder: Path) -> None:
        self._streams = folder / "out", folder / "err"
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, *args, cwd, timeout=PATIENCE_S, **faults) -> Outcome:
        job = {"args": [str(arg) for arg in args], "cwd": str(cwd), "timeout": timeout, "faults": faults}
        job["streams"] = [str(path) for path in self._streams]
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        code = json.loads(self._server.stdout.readline())
        out, err = (path.read_text(errors="surrogateescape") for path in self._streams)
        assert code is not None, f"sac-wsi {args} still ran after {timeout} s\n{out}\n{err}"
        return Outcome(code, out, err)

    def fresh(self, *args, cwd, timeout=PATIENCE_S, **options) -> Outcome:
        done = subprocess.run(
            [SAC_WSI, *map(str, args)],
            cwd=cwd,
            timeout=timeout,
            capture_output=True,
            text=True,
            check=False,
            **options,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def start(self, *args, cwd) -> subprocess.Popen:
        """Start in a new process group, so that a signal reaches its children, as Ctrl-C does."""
        return subprocess.Popen(
            [SAC_WSI, *map(str, args)],
            cwd=cwd,
            text=True,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def close(self) -> None:
        self._server.stdin.close()
        self._server.wait(PATIENCE_S)
        self._server.stdout.close()


@pytest.fixture(scope="session")
def sac(tmp_path_factory):
    line = CommandLine(tmp_path_factory.mktemp("streams"))
    yield line
    line.close()


@pytest.fixture(scope="session")
def blocks16():
    """Return settings that divide a slide of 1300 x 1500 pixels into 16 blocks of one tile."""
    chosen = ("grid.tile_px=256", "grid.halo_um=12", "grid.block_tiles=1", "classical.mpp=0.5")
    return (
        "--model",
        "classical",
        "--tissue",
        "none",
        *(word for setting in chosen for word in ("--set", setting)),
    )


@pytest.fixture(scope="session")
def same_tree():
    def same(a: Path, b: Path) -> bool:
        """Return whether two folders have the same files, byte for byte."""
        names_a, names_b = ({p.relative_to(root) for p in root.rglob("*")} for root in (a, b))
        return (
            bool(names_a)
            and names_a == names_b
            and all(filecmp.cmp(a / n, b / n, shallow=False) for n in names_a if (a / n).is_file())
        )

    return same


# ---- the server ----


def serve() -> None:
    """Read jobs, fork, send back the exit code. A child returns from here and runs the command."""
    import numba  # noqa: F401
    import zarr  # noqa: F401

    import sac_wsi.engine.segment
    import sac_wsi.export.geojson
    import sac_wsi.export.label_image
    import sac_wsi.model.predict.choose
    import sac_wsi.pictures.draw_run
    import sac_wsi.verify.check_run  # noqa: F401

    gc.freeze()  # otherwise every child copies all memory when its garbage collector runs
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            return _become(job)
        code = _wait(child, time.monotonic() + job["timeout"])
        print(json.dumps(code), flush=True)
    sys.exit()


def _wait(child: int, until: float) -> int | None:
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _become(job) -> None:
    os.setsid()
    for number, path in zip((1, 2), job["streams"], strict=True):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(job["cwd"])
    sys.argv = ["sac-wsi", *job["args"]]
    faults = job["faults"]
    if "umask" in faults:
        os.umask(faults["umask"])
    if "largest_file" in faults:
        resource.setrlimit(resource.RLIMIT_FSIZE, (faults["largest_file"],) * 2)
    if "uid" in faults:
        os.setgid(faults["uid"])
        os.setuid(faults["uid"])
    if "calls" in faults:
        _arm(faults["calls"], faults.get("at"), faults.get("how", ""), faults.get("count_into"))


def _arm(calls, at, how, count_into) -> None:
    """Die or raise before call number ``at`` to these functions of ``os``.

    Numba's calls do not count: only the first run on a machine writes its cache of compiled kernels.
    """
    lock, seen = threading.Lock(), 0

    def wrapped(original):
        @functools.wraps(original)
        def call(*args, **kwargs):
            nonlocal seen
            if sys._getframe(1).f_globals["__name__"].startswith("numba."):
                return original(*args, **kwargs)
            with lock:
                seen += 1
                mine = seen
            if mine == at and how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if mine == at:
                raise OSError(getattr(errno, how), os.strerror(getattr(errno, how)))
            return original(*args, **kwargs)

        return call

    for name in calls:
        setattr(os, name, wrapped(getattr(os, name)))
    if count_into:
        atexit.register(lambda: Path(count_into).write_text(str(seen)))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        serve()
    from sac_wsi.cli import main

    main()
