"""A run that was stopped in any way is finished by the same command, with identical outputs."""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import sac_wsi
from sac_wsi import segment_slide
from sac_wsi.testing import OracleSegmenter, SyntheticSlide
from sac_wsi.verify.check_run import verify_run

GRACE_S = 25
NOBODY = 65534
ATOMIC = ("link", "replace", "fsync")
"""Every finished file is written with these two."""

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="needs Linux's /proc")


@dataclass(frozen=True)
class Case:
    """A command, its outputs when it is not interrupted, and how long it takes after its start."""

    folder: Path
    args: tuple[str, ...]
    seconds: float


@pytest.fixture(scope="module")
def case(sac, blocks16, tmp_path_factory):
    """Slide and results in one folder: the store records the relative path."""
    home = tmp_path_factory.mktemp("faults")
    SyntheticSlide(seed=5, shape_yx=(1300, 1500)).write_tiff(home / "slide.tiff")
    SyntheticSlide(seed=6, shape_yx=(1300, 1500)).write_tiff(home / "other.tiff")
    args = ("segment", "../slide.tiff", "--out", "n.geojson", *blocks16)
    (home / "reference").mkdir()
    sac(*args, cwd=home / "reference").went_well()
    (home / "timed").mkdir()
    run = sac.start(*args, cwd=home / "timed")
    begun(run)
    begin = time.monotonic()
    run.communicate(timeout=60)
    return Case(home, args, time.monotonic() - begin)


@pytest.fixture
def out(case):
    folder = Path(tempfile.mkdtemp(dir=case.folder))
    yield folder
    shutil.rmtree(folder)


def begun(run: subprocess.Popen) -> None:
    """Wait for the first line of progress: then the libraries are loaded."""
    assert any('"stage"' in line for line in run.stderr)


def wait_for(condition, seconds=60.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.005)


def found(out: Path) -> list[Path]:
    return sorted((out / "n.zarr.partial" / "found").glob("*.columns"))


def is_as_if_nothing_had_happened(case: Case, out: Path, same_tree) -> None:
    """Compare store and export byte by byte; no other files may be left."""
    assert sorted(p.name for p in out.iterdir()) == ["n.geojson", "n.zarr"]
    assert (out / "n.geojson").read_bytes() == (case.folder / "reference" / "n.geojson").read_bytes()
    assert same_tree(out / "n.zarr", case.folder / "reference" / "n.zarr")


def finish(sac, case: Case, out: Path, same_tree) -> None:
    sac(*case.args, cwd=out).went_well()
    is_as_if_nothing_had_happened(case, out, same_tree)


# ---- kill -9 ----


def moments(count: int, seed: int) -> list[float]:
    """Return moments as fractions of a run's time: one at random in each of equal intervals."""
    rng = random.Random(seed)
    return [1.1 * (i + rng.random()) / count for i in range(count)]


SOME = moments(6, seed=1)
MANY = [pytest.param(m, marks=pytest.mark.long) for m in moments(40, seed=2)]


@pytest.mark.parametrize("moment", [*SOME, *MANY])
def test_kill_9_at_any_moment(sac, case, out, same_tree, moment):
    run = sac.start(*case.args, cwd=out)
    begun(run)
    time.sleep(moment * case.seconds)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    finish(sac, case, out, same_tree)


def test_killed_over_and_over(sac, case, out, same_tree):
    """Every attempt gets further, because finished work is not repeated."""
    reached = []
    for _ in range(4):
        run, before = sac.start(*case.args, cwd=out), len(found(out))
        wait_for(lambda before=before: len(found(out)) > before + 1)
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
        reached.append({path.name: path.stat().st_ino for path in found(out)})
    for earlier, later in pairwise(reached):
        assert len(later) > len(earlier)
        assert earlier.items() <= later.items(), "a finished block was written again"
    finish(sac, case, out, same_tree)


@pytest.mark.parametrize("moment", [0.5, *(pytest.param(m, marks=pytest.mark.long) for m in moments(10, 3))])
def test_kill_9_with_two_workers(sac, case, out, same_tree, moment):
    run = sac.start(*case.args, "--workers", "2", cwd=out)
    wait_for(lambda: len(found(out)) >= max(1, int(16 * moment)) or run.poll() is not None)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    finish(sac, case, out, same_tree)  # a different number of workers continues the same run


def workers_of(pid: int) -> list[int]:
    """Return Dask's worker processes, from /proc."""
    children = "".join(p.read_text() for p in Path(f"/proc/{pid}/task").glob("*/children")).split()
    return [int(c) for c in children if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_killed_worker_costs_its_block_only(sac, case, out, same_tree):
    run = sac.start(*case.args, "--workers", "2", cwd=out)
    wait_for(lambda: len(found(out)) >= 2)
    os.kill(workers_of(run.pid)[0], signal.SIGKILL)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert "Traceback" not in err
    is_as_if_nothing_had_happened(case, out, same_tree)


def test_workers_do_not_outlive_their_run(sac, case, out, same_tree):
    run = sac.start(*case.args, "--workers", "2", cwd=out)
    wait_for(lambda: len(found(out)) >= 2)
    workers = workers_of(run.pid)
    assert len(workers) == 2
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    wait_for(lambda: all(ended(worker) for worker in workers), GRACE_S)
    run.communicate()
    finish(sac, case, out, same_tree)


# ---- stopped by a signal ----


@pytest.mark.parametrize("there", ["", "found/0000003.columns", "final/0000001.columns", "publish.zarr"])
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_asked_to_stop(sac, case, out, same_tree, sign, there):
    run = sac.start(*case.args, cwd=out)
    wait_for(lambda: (out / "n.zarr.partial" / there).exists() or (out / "n.zarr").exists())
    stops_cleanly(run, sign, out, to_group=sign == signal.SIGINT)
    finish(sac, case, out, same_tree)


@pytest.mark.parametrize(("sign", "to_group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_asked_to_stop_with_two_workers(sac, case, out, same_tree, sign, to_group):
    """Ctrl-C in a terminal reaches the workers too; SIGTERM of a scheduler only the first process."""
    run = sac.start(*case.args, "--workers", "2", cwd=out)
    wait_for(lambda: len(found(out)) >= 2)
    workers = workers_of(run.pid)
    stops_cleanly(run, sign, out, to_group=to_group)
    wait_for(lambda: all(ended(worker) for worker in workers))
    finish(sac, case, out, same_tree)


def stops_cleanly(run: subprocess.Popen, sign: int, out: Path, *, to_group: bool) -> None:
    os.kill(run.pid, signal.SIGSTOP)  # paused: on a busy machine it could end before the signal is sent
    over = (out / "n.zarr").exists()
    (os.killpg if to_group else os.kill)(run.pid, sign)
    os.kill(run.pid, signal.SIGCONT)
    printed, err = run.communicate(timeout=GRACE_S + 30)
    assert "Traceback" not in printed + err, err
    if over:
        pytest.skip("the run was over before it could be asked")
    assert run.returncode == 1, err
    # an empty line comes before it, so that the terminal's ^C stands alone
    messages = [line for line in err.splitlines() if line and not line.startswith(("{", "No trained"))]
    assert messages == ["sac-wsi: interrupted. Finished work is kept; run the same command to continue."]


@pytest.mark.parametrize("after_s", [0.15, 0.4, 0.7])
def test_ctrl_c_while_the_libraries_load(sac, case, out, after_s):
    run = sac.start(*case.args, cwd=out)
    time.sleep(after_s)
    os.killpg(run.pid, signal.SIGINT)
    _, err = run.communicate(timeout=GRACE_S)
    assert run.returncode != 0
    assert "Traceback" not in err


# ---- failpoints around every atomic write ----


@pytest.fixture(scope="module")
def tiny(sac, blocks16, tmp_path_factory):
    """Four blocks: so few writes that each can fail once."""
    home = tmp_path_factory.mktemp("tiny")
    SyntheticSlide(seed=7, shape_yx=(700, 700)).write_tiff(home / "slide.tiff")
    args = ("segment", "../slide.tiff", "--out", "n.geojson", *blocks16)
    (home / "reference").mkdir()
    counted = home / "count"
    sac(*args, cwd=home / "reference", calls=ATOMIC, count_into=str(counted)).went_well()
    return Case(home, args, float(counted.read_text()))


def fails_at_every_write(sac, tiny, same_tree, how, step, first=1):
    """Test every ``step``-th write; the stress tests test all."""
    calls = int(tiny.seconds)
    assert calls > 20
    out = tiny.folder / f"at-{how}"
    for at in range(first, calls + 1, step):
        out.mkdir()
        failed = sac(*tiny.args, cwd=out, calls=ATOMIC, at=at, how=how)
        assert "Traceback" not in failed.err, f"write {at}: {failed.err}"
        if how == "die":
            assert failed.code == -9, f"write {at}"
        elif failed.code:  # one error is retried, or ends the run with one line
            assert len(failed.complaints) == 1, f"write {at}: {failed.err}"
        sac(*tiny.args, cwd=out).went_well()
        is_as_if_nothing_had_happened(tiny, out, same_tree)
        shutil.rmtree(out)


@pytest.mark.parametrize("how", ["die", "ENOSPC", "EIO"])
def test_failpoints_at_some_writes(sac, tiny, same_tree, how):
    fails_at_every_write(sac, tiny, same_tree, how, step=20, first={"die": 1, "ENOSPC": 3, "EIO": 5}[how])


@pytest.mark.long
@pytest.mark.parametrize("how", ["die", "ENOSPC", "EIO"])
def test_failpoints_at_every_write(sac, tiny, same_tree, how):
    fails_at_every_write(sac, tiny, same_tree, how, step=1)


@pytest.mark.parametrize("at", [1, 4, 9])
def test_killed_while_an_unfinished_run_is_discarded(sac, tiny, out, same_tree, at):
    """--overwrite removes blocks of other settings; if only half are removed, the rest must not be used."""
    out = tiny.folder / f"discard-{at}"
    out.mkdir()
    other = (*tiny.args, "--set", "classical.min_od=0.05")
    died = sac(*other, cwd=out, calls=ATOMIC, at=int(tiny.seconds) - 3, how="die")
    assert died.code == -9
    assert found(out)
    killed = sac(*tiny.args, "--overwrite", cwd=out, calls=("unlink",), at=at, how="die")
    assert killed.code == -9
    resumed = sac(*tiny.args, cwd=out)
    if resumed.code:
        resumed.refused("min_od")
        sac(*tiny.args, "--overwrite", cwd=out).went_well()
    is_as_if_nothing_had_happened(tiny, out, same_tree)


def test_blocks_without_their_manifest_belong_to_nobody(sac, tiny, same_tree):
    """The removal of an unfinished run was killed just after it removed the manifest."""
    out = tiny.folder / "orphans"
    out.mkdir()
    other = (*tiny.args, "--set", "classical.min_od=0.05")
    assert sac(*other, cwd=out, calls=ATOMIC, at=int(tiny.seconds) // 2, how="die").code == -9
    assert found(out)
    (out / "n.zarr.partial" / "manifest.json").unlink()
    finish(sac, tiny, out, same_tree)


@pytest.mark.parametrize("damage", ["empty", "cut", "other"])
def test_a_damaged_block_of_an_unfinished_run(sac, tiny, same_tree, damage):
    """Disks can damage files: the error names the file, and removing it lets the run continue."""
    out = tiny.folder / f"damaged-{damage}"
    out.mkdir()
    assert sac(*tiny.args, cwd=out, calls=ATOMIC, at=int(tiny.seconds) // 2, how="die").code == -9
    block = found(out)[0]
    block.write_bytes({"empty": b"", "cut": block.read_bytes()[:-50], "other": b"PK\3\4"}[damage])
    sac(*tiny.args, cwd=out).refused(block.name, "Delete that file", code=1)
    block.unlink()
    finish(sac, tiny, out, same_tree)


# ---- disks ----


@pytest.fixture
def small_disk(case):
    """A separate disk of 6 MB; needs root."""
    folder = Path(tempfile.mkdtemp(dir=case.folder))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], check=False)
    if mounted.returncode:
        folder.rmdir()
        pytest.skip("cannot mount a small disk here: needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)
    folder.rmdir()


def use_up(disk: Path, room: int) -> Path:
    """Write a file that leaves ``room`` bytes free."""
    ballast = disk / "ballast"
    ballast.write_bytes(b"")
    os.truncate(ballast, 0)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - room)
    return ballast


def test_disk_full_and_room_made(sac, case, small_disk, same_tree):
    """A full disk fails with one line and publishes nothing; with free space the run finishes."""
    stages = set()
    for room in (0, 120_000, 500_000, 1_000_000):
        ballast = use_up(small_disk, room)
        failed = sac(*case.args, cwd=small_disk)
        if failed.code == 0:
            stages.add("enough")
            is_complete_but_for(small_disk, ballast)
        else:
            failed.refused(code=failed.code if room == 0 else 1)
            stages.add(
                "export" if (small_disk / "n.zarr").exists() else "work" if found(small_disk) else "begin"
            )
            assert not (small_disk / "n.geojson").exists()
        ballast.unlink()
        finish(sac, case, small_disk, same_tree)
        shutil.rmtree(small_disk / "n.zarr")
        (small_disk / "n.geojson").unlink()
    assert "work" in stages


def is_complete_but_for(folder: Path, ballast: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == sorted([ballast.name, "n.geojson", "n.zarr"])


def test_files_may_not_grow(sac, case, out, same_tree):
    """A limit on file sizes (`ulimit -f`) acts like a full disk and needs no root."""
    sac(*case.args, cwd=out, largest_file=8_000).refused(os.strerror(errno.EFBIG), code=1)
    assert not (out / "n.zarr").exists()
    finish(sac, case, out, same_tree)


@pytest.fixture
def shared_folder():
    """A folder that every user can enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="sac-wsi-"))
    folder.chmod(0o755)
    yield folder
    subprocess.run(["chmod", "-R", "u+rwx", folder], check=True)
    shutil.rmtree(folder)


def _open_to_others(folder):
    return all(place.stat().st_mode & 0o005 == 0o005 for place in (folder, *folder.parents))


@pytest.mark.parametrize("mode", [0o555, 0o000], ids=["read-only", "closed"])
def test_an_output_folder_that_may_not_be_written(sac, case, shared_folder, mode):
    user = {"uid": NOBODY} if os.geteuid() == 0 else {}
    if user and not all(
        _open_to_others(place) for place in (Path(sac_wsi.__file__).parent, Path(sys.prefix))
    ):
        pytest.skip("run as root from a folder that no other user may enter")
    shutil.copy(case.folder / "slide.tiff", shared_folder)
    (shared_folder / "slide.tiff").chmod(0o644)
    (shared_folder / "out").mkdir()
    (shared_folder / "out").chmod(mode)
    args = ("segment", "slide.tiff", "--out", "out/n.geojson")
    sac(*args, cwd=shared_folder, **user).refused("out", "writable")
    sac(*args, "--overwrite", cwd=shared_folder, **user).refused("out", "writable")


@pytest.mark.parametrize("place", ["/sys/n.geojson", "/dev/null/n.geojson"])
def test_a_place_where_nothing_can_be_written(sac, case, out, place):
    sac("segment", "../slide.tiff", "--out", place, cwd=out).refused("folder")
    assert not list(out.iterdir())


# ---- several runs with the same output ----


def test_two_runs_on_one_output(sac, case, out, same_tree):
    owner = sac.start(*case.args, cwd=out)
    wait_for(lambda: found(out))
    os.kill(owner.pid, signal.SIGSTOP)
    try:
        sac(*case.args, cwd=out).refused("n.zarr.partial", "still running")
        sac(*case.args, "--overwrite", cwd=out).refused("still running")
    finally:
        os.kill(owner.pid, signal.SIGCONT)
    _, err = owner.communicate(timeout=60)
    assert owner.returncode == 0, err
    is_as_if_nothing_had_happened(case, out, same_tree)


@pytest.mark.parametrize("count", [3, pytest.param(8, marks=pytest.mark.long)])
def test_many_begin_at_once(sac, case, out, same_tree, count):
    runs = [sac.start(*case.args, cwd=out) for _ in range(count)]
    errors = [run.communicate(timeout=120)[1] for run in runs]
    codes = [run.returncode for run in runs]
    assert 0 in codes
    assert set(codes) <= {0, 2}, errors
    assert not any("Traceback" in err for err in errors)
    is_as_if_nothing_had_happened(case, out, same_tree)


# ---- the input changes ----


@pytest.fixture
def moving(case, out):
    """The case with a slide of its own to replace, inside ``out``'s parent's place."""
    slide = out.with_name(f"{out.name}.tiff")
    shutil.copy(case.folder / "slide.tiff", slide)
    args = tuple(f"../{slide.name}" if arg == "../slide.tiff" else arg for arg in case.args)
    yield replace(case, args=args), slide
    slide.unlink()


def put(source: Path, slide: Path, *, in_place: bool) -> None:
    if in_place:
        slide.write_bytes(source.read_bytes())
    else:
        shutil.copy(source, slide.with_suffix(".new"))
        slide.with_suffix(".new").replace(slide)


def test_another_slide_under_the_same_name(sac, case, out, moving):
    moved, slide = moving
    run = sac.start(*moved.args, cwd=out)
    wait_for(lambda: found(out))
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    put(case.folder / "other.tiff", slide, in_place=False)
    sac(*moved.args, cwd=out).refused("slide.fingerprint was", "now", "--overwrite")
    assert not (out / "n.zarr").exists()
    sac(*moved.args, "--overwrite", cwd=out).went_well()
    put(case.folder / "slide.tiff", slide, in_place=False)
    sac(*moved.args, cwd=out).refused("n.geojson")


@pytest.mark.parametrize("in_place", [False, True])
def test_a_slide_replaced_while_it_is_read_is_never_mixed(sac, case, out, moving, same_tree, in_place):
    """Also not if the first slide is put back and the run continues."""
    moved, slide = moving
    run = sac.start(*moved.args, cwd=out)
    wait_for(lambda: found(out))
    os.kill(run.pid, signal.SIGSTOP)
    put(case.folder / "other.tiff", slide, in_place=in_place)
    os.kill(run.pid, signal.SIGCONT)
    _, err = run.communicate(timeout=60)
    assert run.returncode in (1, 2), err
    assert "replaced" in err
    assert "Traceback" not in err
    assert not (out / "n.zarr").exists()
    put(case.folder / "slide.tiff", slide, in_place=in_place)
    sac(*moved.args, cwd=out).went_well()
    # the two stores differ only in the name of the slide
    assert (out / "n.geojson").read_bytes() == (case.folder / "reference" / "n.geojson").read_bytes()


# ---- a segmenter that fails ----


@dataclass(frozen=True)
class Poisoned:
    """The oracle, but it fails on the tile whose read box starts at ``corner_yx``."""

    oracle: OracleSegmenter
    corner_yx: tuple[int, int]
    name: str = "poisoned"

    @property
    def mpp(self):
        return self.oracle.mpp

    @property
    def fingerprint(self):
        return self.oracle.fingerprint

    def segment(self, tiles):
        for tile in tiles:
            if (tile.read.y0, tile.read.x0) == self.corner_yx:
                raise ValueError("this one never works")
        return self.oracle.segment(tiles)


@pytest.mark.parametrize("block_tiles", [2, pytest.param(1, marks=pytest.mark.long)])
def test_a_poison_block_fails_alone(slide_file, oracle, small_grid, tmp_path, block_tiles):
    config = small_grid(block_tiles=block_tiles)
    whole = segment_slide(slide_file, tmp_path / "whole.geojson", config=config, segmenter=oracle)
    halo_px, core_px = 88, 384 - 2 * 88
    poison = Poisoned(oracle, (core_px - halo_px, 2 * core_px - halo_px))
    run = segment_slide(slide_file, tmp_path / "n.geojson", config=config, segmenter=poison)
    columns = run.provenance["counts"]["tiles"]
    tiles_x = -(-1900 // core_px)
    rows, cols = ((1,), (2,)) if block_tiles == 1 else ((0, 1), (2, 3))
    expected = {row * tiles_x + col for row in rows for col in cols}
    assert {tile for tile, _ in run.summary.failures} == expected
    assert {reason for _, reason in run.summary.failures} == {"ValueError: this one never works"}
    total = sum(whole.summary.tiles.values())
    assert columns == {"done": total - len(expected), "failed": len(expected), "skipped": 0}
    assert not (tmp_path / "n.zarr.partial").exists()
    kept = whole.nuclei["anchor_yx"]
    y0, y1 = core_px * rows[0], core_px * (rows[-1] + 1)
    x0, x1 = core_px * cols[0], core_px * (cols[-1] + 1)
    near = 4  # within the tolerance a neighbouring tile may have claimed it
    far = (kept[:, 0] < y0 - near) | (kept[:, 0] >= y1 + near)
    far |= (kept[:, 1] < x0 - near) | (kept[:, 1] >= x1 + near)
    anchors = {tuple(a) for a in run.nuclei["anchor_yx"]}
    assert {tuple(a) for a in kept[far]} <= anchors <= {tuple(a) for a in kept}
    assert np.asarray(run.labels()).max() == len(run.nuclei)
    assert verify_run(run.store).ok
    again = segment_slide(slide_file, tmp_path / "n.geojson", config=config, segmenter=poison)
    assert again.summary.reused
    assert again.summary.failures == run.summary.failures
