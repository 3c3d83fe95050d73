"""A slide that changes between or during runs never gives a mixture, and a damaged store is never used."""

import json
import os
import shutil
import signal
import time

import pytest

from sac_wsi.testing import SyntheticSlide

MANY = (
    *("--model", "classical", "--tissue", "none", "--set", "grid.tile_px=256", "--set", "grid.halo_um=12"),
    *("--set", "grid.block_tiles=1", "--set", "classical.mpp=0.5"),
)


@pytest.fixture
def here(tmp_path):
    """A slide too large for its fingerprint to see every byte, and a run that was killed halfway."""
    SyntheticSlide(seed=7, shape_yx=(4300, 4300)).write_tiff(tmp_path / "slide.tiff")
    assert (tmp_path / "slide.tiff").stat().st_size > 4_000_000
    return tmp_path


@pytest.fixture
def killed(sac, here):
    run = sac.start("segment", "slide.tiff", "--out", "n.geojson", *MANY, cwd=here)
    until = time.monotonic() + 120
    while len(list((here / "n.zarr.partial" / "found").glob("*.columns"))) < 50:
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    return here


def damage(path, *, keep_time):
    """Blank bytes between the parts that the fingerprint samples."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    start = (1 << 20) + (1 << 16) + 2000
    content[start : start + 60_000] = bytes(60_000)
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + (0 if keep_time else 1)))


def test_a_change_between_kill_and_resume_is_noticed(sac, killed):
    damage(killed / "slide.tiff", keep_time=False)
    done = sac("segment", "slide.tiff", "--out", "n.geojson", *MANY, cwd=killed)
    done.refused("changed while it was segmented", "--overwrite")
    assert not (killed / "n.zarr").exists()
    sac("segment", "slide.tiff", "--out", "n.geojson", "--overwrite", *MANY, cwd=killed)
    sac("segment", "slide.tiff", "--out", "m.geojson", *MANY, cwd=killed)
    ours, fresh = (json.loads((killed / name).read_text())["features"] for name in ("n.geojson", "m.geojson"))
    assert ours == fresh


def test_a_change_that_keeps_the_time_is_noticed_on_request(sac, killed):
    damage(killed / "slide.tiff", keep_time=True)
    done = sac("segment", "slide.tiff", "--out", "n.geojson", "--verify-slide", *MANY, cwd=killed)
    done.refused("changed while it was segmented")


def test_a_copy_of_the_slide_is_compared_and_taken(sac, killed):
    (killed / "slide.tiff").rename(killed / "old.tiff")
    shutil.copy(killed / "old.tiff", killed / "slide.tiff")
    done = sac("segment", "slide.tiff", "--out", "n.geojson", *MANY, cwd=killed).went_well()
    assert '"stage": "compare"' in done.err
    again = sac("segment", "slide.tiff", "--out", "m.geojson", *MANY, cwd=killed).went_well()
    assert '"stage": "compare"' not in again.err


@pytest.mark.parametrize("command", ["segment", "export", "verify"])
@pytest.mark.parametrize("what", ["chunk", "type"])
def test_a_damaged_store_is_noticed(sac, tmp_path, command, what):
    SyntheticSlide(seed=7, shape_yx=(500, 500)).write_tiff(tmp_path / "slide.tiff")
    base = ("segment", "slide.tiff", "--out", "n.geojson", "--model", "classical", "--tissue", "none")
    sac(*base, cwd=tmp_path).went_well()
    column = tmp_path / "n.zarr" / "nuclei" / "polygon_xy_centipx"
    if what == "chunk":
        shutil.rmtree(column / "c")
    else:
        metadata = tmp_path / "n.zarr" / "nuclei" / "id" / "zarr.json"
        metadata.write_text(metadata.read_text().replace('"int64"', '"uint64"'))
    if command == "segment":
        sac(*base, cwd=tmp_path).refused("damaged or was changed", "--overwrite", code=1)
        sac(*base, "--overwrite", cwd=tmp_path).went_well()
        sac("verify", "n.geojson", cwd=tmp_path).went_well()
    elif command == "export":
        sac("export", "n.zarr", "--out", "x.zip", cwd=tmp_path).refused("damaged or was changed", code=1)
        assert not (tmp_path / "x.zip").exists()
    else:
        found = sac("verify", "n.zarr", cwd=tmp_path)
        assert found.code == 1
        assert "is not what was written" in found.out + found.err
