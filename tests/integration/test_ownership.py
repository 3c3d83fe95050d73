"""Nothing that sac-wsi did not write is removed, replaced or followed, whatever a command is asked to do."""

import hashlib
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import zarr

from sac_wsi.testing import SyntheticSlide


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return SyntheticSlide(seed=7, shape_yx=(500, 500)).write_tiff(tmp_path_factory.mktemp("s") / "slide.tiff")


@pytest.fixture
def here(tmp_path, slide):
    shutil.copy(slide, tmp_path / "slide.tiff")
    return tmp_path


@pytest.fixture
def segment(sac, here):
    def run(*more, **faults):
        base = ("segment", "slide.tiff", "--model", "classical", "--tissue", "none")
        return sac(*base, *more, cwd=here, **faults)

    return run


def content(folder):
    """Everything in a folder: kind and content of each entry, links not followed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = "folder" if path.is_dir() else "other"
    return found


@pytest.fixture
def unchanged(here):
    """Check that a refused command changed nothing."""

    class Unchanged:
        def __enter__(self):
            self.before = content(here)

        def __exit__(self, kind, error, trace):
            assert kind is not None or content(here) == self.before

    return Unchanged()


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
@pytest.mark.parametrize("kind", ["folder", "ngff", "store with a photo", "file", "link"])
def test_a_store_of_somebody_else(segment, here, unchanged, overwrite, kind):
    store = here / "n.zarr"
    if kind == "folder":
        store.mkdir()
        (store / "thesis.docx").write_text("mine")
    elif kind == "ngff":
        zarr.create_group(store, attributes={"ome": {"version": "0.5"}})
    elif kind == "file":
        store.write_text("mine")
    elif kind == "link":
        (here / "elsewhere").mkdir()
        store.symlink_to("elsewhere")
    else:
        segment("--out", "n.geojson", "--set", "classical.min_od=0.2").went_well()
        (store / "photo.jpg").write_text("mine")
        (here / "n.geojson").unlink()
    with unchanged:
        done = segment("--out", "n.geojson", *overwrite)
        done.refused("n.zarr", code=2 if done.code == 2 else 1)


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_an_unfinished_folder_of_somebody_else(segment, here, unchanged, overwrite):
    (here / "n.zarr.partial" / "found").mkdir(parents=True)
    (here / "n.zarr.partial" / "found" / "photo.jpg").write_text("mine")
    with unchanged:
        segment("--out", "n.geojson", *overwrite).refused("photo.jpg", "Move it away")


@pytest.mark.parametrize("name", ["n.geojson", "n.geojson.gz", "n.zip", "n.tif", "n.png"])
def test_an_output_of_another_program(segment, here, unchanged, name):
    (here / name).write_bytes(b"mine")
    with unchanged:
        segment("--out", name, "--overwrite").refused(name, "not written by sac-wsi")
    (here / name).unlink()
    segment("--out", name).went_well()
    segment("--out", name, "--overwrite", "--set", "classical.min_od=0.2").went_well()


def test_export_and_overlay_replace_only_their_own(sac, segment, here, unchanged):
    segment("--out", "n.geojson").went_well()
    for name in ("x.tif", "x.png"):
        (here / name).write_bytes(b"mine")
    with unchanged:
        for command, out in (("export", "x.tif"), ("overlay", "x.png")):
            done = sac(command, "n.geojson", "--out", out, "--overwrite", cwd=here)
            done.refused("not written by sac-wsi")
        sac("overlay", "n.geojson", "--out", "n.zarr/x.png", cwd=here).refused("lies in the input")
    sac("overlay", "n.geojson", "--out", "y.png", cwd=here).went_well()
    sac("overlay", "n.geojson", "--out", "y.png", cwd=here).refused("--overwrite")
    sac("overlay", "n.geojson", "--out", "y.png", "--overwrite", cwd=here).went_well()


@pytest.mark.parametrize("option", ["--tissue", "--points", "--config", "--model"])
@pytest.mark.parametrize("how", ["same", "hard link"])
def test_an_input_is_never_an_output(sac, here, unchanged, option, how):
    region = '{"type":"Polygon","coordinates":[[[0,0],[400,0],[400,400],[0,400],[0,0]]]}'
    read = here / ("r.geojson" if how == "same" else "read.geojson")
    read.write_text("model: classical\n" if option == "--config" else region)
    if how == "hard link":
        (here / "r.geojson").hardlink_to(read)
    more = () if option == "--model" else ("--model", "classical")
    with unchanged:
        done = sac(
            "segment", "slide.tiff", *more, option, read.name, "--out", "r.geojson", "--overwrite", cwd=here
        )
        done.refused(read.name)


def test_a_store_that_an_earlier_command_made_is_not_discarded(segment, here):
    segment("--out", "n.geojson").went_well()
    kept = segment("--out", "n.geojson", "--discard-store")
    assert (here / "n.zarr" / "zarr.json").exists()
    assert "n.zarr was kept: an earlier command made it" in kept.err
    segment("--out", "m.geojson", "--discard-store").went_well()
    assert not (here / "m.zarr").exists()


def test_what_another_run_published_meanwhile_stays(sac, segment, here):
    """A run that passed its checks and slept must not replace what was finished in between."""
    args = ("segment", "slide.tiff", "--model", "classical", "--tissue", "none", "--out", "n.geojson")
    many = ("grid.tile_px=256", "grid.halo_um=12", "grid.block_tiles=1", "classical.mpp=0.25")
    first = sac.start(*args, *(word for each in many for word in ("--set", each)), cwd=here)
    until = time.monotonic() + 60
    while not (here / "n.zarr.partial" / "found").exists():
        assert time.monotonic() < until
    os.kill(first.pid, signal.SIGSTOP)
    (here / "n.zarr.partial").rename(here / "aside")
    segment("--out", "n.geojson", "--set", "classical.min_od=0.2").went_well()
    before = content(here / "n.zarr"), (here / "n.geojson").read_bytes()
    (here / "aside").rename(here / "n.zarr.partial")
    os.kill(first.pid, signal.SIGCONT)
    _, err = first.communicate(timeout=60)
    assert first.returncode == 2, err
    assert "made by another run while this one worked" in err
    assert (content(here / "n.zarr"), (here / "n.geojson").read_bytes()) == before


@pytest.mark.parametrize("kind", ["link", "file"])
def test_the_demo_replaces_no_slide(sac, here, kind):
    (here / "demo").mkdir()
    (here / "precious.tiff").write_bytes(b"mine")
    if kind == "link":
        (here / "demo" / "slide.tiff").symlink_to(here / "precious.tiff")
    else:
        (here / "demo" / "slide.tiff").write_bytes(b"mine")
    before = content(here)
    sac("demo", cwd=here).refused("slide.tiff is not the slide of the demo")
    assert content(here) == before


def test_a_training_replaces_no_file(sac, here, tmp_path):
    (here / "run").mkdir()
    (here / "run" / "best.safetensors").write_bytes(b"mine")
    config = Path(__file__).parents[2] / "configs" / "train" / "smoke.yaml"
    done = sac("train", config, "--set", "output_dir=run", cwd=here)
    done.refused("best.safetensors", "output_dir")
    assert (here / "run" / "best.safetensors").read_bytes() == b"mine"
