"""Every command: help, fast start, JSON, progress, exit codes."""

import gzip
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from sac_wsi import Run
from sac_wsi.geometry import Box
from sac_wsi.testing import SyntheticSlide

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "segment",
    "export",
    "info",
    "verify",
    "overlay",
    "demo",
    "models",
    "train",
    "evaluate",
    "reproduce",
)
CONFIGS = sorted((ROOT / "configs" / "segment").glob("*.yaml"))
FORMS = (".geojson", ".geojson.gz", ".zip", ".tif", ".png")
EVERYWHERE = ("--model", "classical", "--tissue", "none")
TORCH = ("torch", "tiatoolbox")


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return SyntheticSlide(seed=21, shape_yx=(600, 700)).write_tiff(
        tmp_path_factory.mktemp("s") / "slide.tiff"
    )


@pytest.fixture(scope="module")
def made(sac, slide, tmp_path_factory):
    """A run with outputs in every format; tests use copies."""
    folder = tmp_path_factory.mktemp("made")
    outs = [word for form in FORMS for word in ("--out", f"n{form}")]
    sac("segment", slide, *outs, *EVERYWHERE, cwd=folder).went_well()
    return folder


@pytest.fixture
def work(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "work"))


# ---- help and fast start ----


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(sac, tmp_path, command):
    shown = sac(command, "--help", cwd=tmp_path).went_well().out
    assert "Example:" in shown
    assert f"sac-wsi {command}" in shown.split("Example:")[1]
    options = re.findall(r"^  (--?[\w, -]+?)(?:  .*| [A-Z].*)?$", shown, re.MULTILINE)
    assert options
    assert sac(command, "-h", cwd=tmp_path).out == shown


def test_help_lists_all_commands(sac, tmp_path):
    shown = sac.fresh("--help", cwd=tmp_path).went_well().out
    assert all(re.search(rf"^  {command}  +\w", shown, re.MULTILINE) for command in COMMANDS)
    assert "Exit codes" in shown
    assert re.fullmatch(r"sac-wsi, version \d+\.\d+\.\d+\n", sac.fresh("--version", cwd=tmp_path).out)


def imported_by(*args: object, cwd: Path) -> set[str]:
    """Return the top-level packages that a command imports."""
    script = Path(sys.executable).with_name("sac-wsi")
    command = [sys.executable, "-X", "importtime", script, *map(str, args)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    names = re.findall(r"^import time:\s+\d+ \|\s+\d+ \|\s+([\w.]+)$", done.stderr, re.MULTILINE)
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_imports_no_heavy_library(tmp_path, command):
    loaded = imported_by(*([command] if command else []), "--help", cwd=tmp_path)
    assert "click" in loaded
    assert not loaded & {"numpy", "zarr", "numba", "dask", "distributed", "openslide", *TORCH}


def test_no_command_needs_torch(slide, work):
    for args in (
        ("info", slide),
        ("export", "n.geojson", "--out", "e.geojson"),
        ("verify", "n.geojson"),
        ("overlay", "n.geojson", "--out", "o.png", "--region", "0,0,100,100", "--slide", slide),
        ("segment", slide, "--out", "other.geojson", *EVERYWHERE),
    ):
        assert not imported_by(*args, cwd=work) & set(TORCH), args


def test_info_and_verify_need_no_cluster(slide, work):
    assert not imported_by("info", slide, cwd=work) & {"distributed"}
    assert not imported_by("verify", "n.geojson", cwd=work) & {"distributed"}


# ---- wrong arguments ----


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("segmnt",), "segmnt"),
        (("segment",), "SLIDE"),
        (("segment", "a.tiff"), "--out"),
        (("segment", "a.tiff", "--ot", "n.geojson"), "--out"),
        (("segment", "-rf.tiff", "--out", "n.geojson"), "-r"),
        (("segment", "a.tiff", "--out", "n.geojson", "--mpp", "a lot"), "a lot"),
        (("export", "n.geojson"), "--out"),
        (("info",), "SLIDE"),
    ],
)
def test_usage_errors(sac, tmp_path, args, words):
    done = sac(*args, cwd=tmp_path)
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("grid.halo_umm=20", "Did you mean grid.halo_um?"),
        ("gird.halo_um=20", "Did you mean grid?"),
        ("clasical.min_od=0.1", "Did you mean classical?"),
        ("classical.min_odd=0.1", "Did you mean classical.min_od?"),
        ("grid.tile_px=big", "needed a whole number"),
        ("grid.tile_px=512.5", "needed a whole number"),
        ("grid.tile_px=true", "needed a whole number"),
        ("grid.halo_um=.nan", "finite"),
        ("grid.halo_um=-3", "halo"),
        ("grid.tile_px=0", "tile"),
        ("grid.tile_px=-256", "tile"),
        ("grid.block_tiles=0", "block"),
        ("batch_tiles=0", "batch"),
        ("batch_tiles=-1", "batch"),
        ("grid=5", "section"),
        ("grid.tile_px", "section.key=value"),
        ("=5", "section.key=value"),
        ("model=sam", "classical"),
        ("classical.mpp=0", "mpp"),
        ("classical.mpp=1e-9", "mpp"),
        ("classical.mpp=1e9", "mpp"),
        ("find_tissue.um_per_px=0", "find_tissue.um_per_px is 0.0"),
    ],
)
def test_invalid_settings(sac, slide, tmp_path, setting, hint):
    done = sac("segment", slide, "--out", "n.geojson", "--set", setting, cwd=tmp_path)
    done.refused(hint)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "workers", ["0", "-1", "1.5", "two", pytest.param("tcp://127.0.0.1:1", marks=pytest.mark.long)]
)
def test_invalid_workers(sac, slide, tmp_path, workers):
    done = sac("segment", slide, "--out", "n.geojson", f"--workers={workers}", *EVERYWHERE, cwd=tmp_path)
    done.refused("workers")
    assert not (tmp_path / "n.zarr").exists()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_is_accepted(sac, slide, tmp_path, config):
    args = ("segment", slide, "--out", "n.geojson", "--config", config, *EVERYWHERE)
    assert sac(*args, "--json", cwd=tmp_path).went_well().json["nuclei"] > 20


@pytest.mark.parametrize(
    "content", [b"", b"[1, 2]", b"grid: [", b"\xff\xfe", b"just words", b"grid:\n  tile: 5\n"]
)
def test_invalid_configs(sac, slide, tmp_path, content):
    (tmp_path / "c.yaml").write_bytes(content)
    done = sac("segment", slide, "--out", "n.geojson", "--config", "c.yaml", *EVERYWHERE, cwd=tmp_path)
    if content:
        done.refused()
    else:
        done.went_well()


def test_missing_config(sac, slide, tmp_path):
    sac("segment", slide, "--out", "n.geojson", "--config", "no.yaml", cwd=tmp_path).refused("no.yaml")


# ---- printed output ----


def test_json_outputs(sac, slide, work):
    info = sac("info", slide, "--json", cwd=work).went_well().json
    assert {
        "path",
        "reader",
        "vendor",
        "shape_yx",
        "mpp",
        "mpp_source",
        "levels",
        "fingerprint",
    } <= info.keys()
    assert info["shape_yx"] == [600, 700]
    assert info["mpp"] == 0.25
    report = sac("verify", "n.geojson", "--json", cwd=work).went_well().json
    assert {"run", "nuclei", "checked", "counts", "problems", "ok"} <= report.keys()
    assert report["ok"]
    assert {"counts", "geometry", "overlaps", "labels", "n.geojson"} <= set(report["checked"])
    summary = sac("segment", slide, "--out", "n.geojson", "--json", *EVERYWHERE, cwd=work).went_well().json
    promised = {"store", "outputs", "run_id", "nuclei", "tiles", "dropped", "failures", "tissue_mm2"}
    assert promised | {"seconds", "wall_seconds", "workers", "reused", "warnings"} <= summary.keys()
    assert summary["reused"]
    assert summary["nuclei"] == report["nuclei"]


def test_progress_goes_to_stderr_as_json_lines(sac, slide, tmp_path):
    done = sac("segment", slide, "--out", "n.geojson", "--json", *EVERYWHERE, cwd=tmp_path).went_well()
    lines = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    assert [line["stage"] for line in lines if line["done"] == line["total"]] == [
        "find tissue",
        "segment",
        "finish",
        "labels",
        "export",
    ]
    nuclei = [line["nuclei"] for line in lines if line["stage"] in ("finish", "labels", "export")]
    assert min(nuclei) > 0
    assert set(nuclei[-2:]) == {json.loads(done.out)["nuclei"]}
    assert all({"stage", "done", "total", "nuclei", "seconds"} == line.keys() for line in lines)
    assert len(done.out.splitlines()) == 1
    assert all(line.startswith("{") for line in done.err.splitlines())


def test_a_terminal_gets_a_bar(slide, tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    script = Path(sys.executable).with_name("sac-wsi")
    args = [script, "segment", slide, "--out", "n.geojson", *EVERYWHERE]
    with subprocess.Popen(args, cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs, text=True) as run:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # on Linux: the other end is closed
                break
            shown += part
        out = run.stdout.read()
    os.close(ours)
    assert run.returncode == 0
    assert re.search(rb"segment: +100%\|.*\d+/\d+", shown)
    assert b'{"stage"' not in shown
    assert "nuclei in" in out


def test_closed_output_pipe_is_no_crash(slide, work):
    script = Path(sys.executable).with_name("sac-wsi")
    piped = f"'{script}' verify n.geojson --json | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", piped], cwd=work, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


# ---- outputs ----


def test_out_several_times(sac, made):
    for form in FORMS:
        report = sac("verify", f"n{form}", "--json", cwd=made).went_well().json
        assert report["ok"]
        assert f"n{form}" in report["checked"]
    assert gzip.decompress((made / "n.geojson.gz").read_bytes()) == (made / "n.geojson").read_bytes()


def test_the_same_out_twice_is_one_output(sac, slide, tmp_path):
    args = ("segment", slide, "--out", "n.geojson", "--out", "n.geojson", *EVERYWHERE)
    sac(*args, cwd=tmp_path).went_well()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["n.geojson", "n.zarr"]


def test_outputs_in_several_folders(sac, slide, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    args = ("segment", slide, "--out", "a/n.geojson", "--out", "b/labels.tif", *EVERYWHERE)
    sac(*args, cwd=tmp_path).went_well()
    assert (tmp_path / "a" / "n.zarr").is_dir()
    sac("verify", "a/n.geojson", cwd=tmp_path).went_well()


def test_an_output_in_another_folder_leads_to_its_store(sac, slide, tmp_path):
    """The README: "takes as RUN the store or any output that a run wrote"."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    args = ("segment", slide, "--out", "a/n.geojson", "--out", "b/labels.tif", *EVERYWHERE)
    sac(*args, cwd=tmp_path).went_well()
    sac("verify", "b/labels.tif", cwd=tmp_path).went_well()


def test_the_store_alone(sac, slide, tmp_path):
    sac("segment", slide, "--out", "only.zarr", *EVERYWHERE, cwd=tmp_path).went_well()
    assert [p.name for p in tmp_path.iterdir()] == ["only.zarr"]
    sac("verify", "only.zarr", cwd=tmp_path).went_well()
    sac("verify", "only.zarr/", cwd=tmp_path).went_well()
    sac("segment", slide, "--out", "x.zarr", "--out", "y.zarr", cwd=tmp_path).refused("Two stores")


def test_discard_store(sac, slide, tmp_path, made):
    args = ("segment", slide, "--out", "n.geojson", "--discard-store", *EVERYWHERE)
    sac(*args, cwd=tmp_path).went_well()
    assert [p.name for p in tmp_path.iterdir()] == ["n.geojson"]
    assert (tmp_path / "n.geojson").read_bytes() == (made / "n.geojson").read_bytes()
    sac("verify", "n.geojson", cwd=tmp_path).refused("--discard-store", code=1)
    sac(*args, cwd=tmp_path).went_well()
    assert [p.name for p in tmp_path.iterdir()] == ["n.geojson"]


def test_a_store_that_was_asked_for_is_not_discarded(sac, slide, tmp_path):
    args = ("segment", slide, "--out", "n.zarr", "--discard-store", *EVERYWHERE)
    done = sac(*args, cwd=tmp_path)
    assert done.code == 2
    assert "--discard-store" in done.err
    assert not (tmp_path / "n.zarr").exists()


@pytest.mark.parametrize("form", FORMS)
def test_export_needs_no_slide(sac, made, slide, tmp_path, form):
    """Only the store is copied."""
    moved = Path(shutil.copytree(made / "n.zarr", tmp_path / "n.zarr"))
    out = sac("export", moved, "--out", f"e{form}", cwd=tmp_path).went_well()
    assert f"e{form}" in out.out
    sac("verify", f"e{form}", cwd=tmp_path).went_well()
    if form != ".zip":  # its parts are named after the file
        assert (tmp_path / f"e{form}").read_bytes() == (made / f"n{form}").read_bytes()
    sac("export", moved, "--out", f"e{form}", cwd=tmp_path).refused(f"e{form} exists", "--overwrite")
    sac("export", moved, "--out", f"e{form}", "--overwrite", cwd=tmp_path).went_well()


def test_export_of_something_else_than_a_run(sac, tmp_path):
    (tmp_path / "foreign.geojson").write_text('{"type":"FeatureCollection","features":[]}')
    (tmp_path / "folder.zarr").mkdir()
    (tmp_path / "text.txt").write_text("hello")
    for run, code in (
        ("foreign.geojson", 1),
        ("folder.zarr", 1),
        ("no.geojson", 2),
        ("no.zarr", 1),
        ("text.txt", 2),
    ):
        for command in ("export", "verify", "overlay"):
            out = () if command == "verify" else ("--out", "o.png")
            sac(command, run, *out, cwd=tmp_path).refused(code=code)
    assert not (tmp_path / "o.png").exists()


def test_verify_of_an_unfinished_run(sac, slide, tmp_path):
    args = ("segment", slide, "--out", "n.geojson", *EVERYWHERE)
    assert sac(*args, cwd=tmp_path, calls=("replace",), at=3, how="die").code == -9
    sac("verify", "n.zarr", cwd=tmp_path).refused("not finished", code=1)
    sac(*args, cwd=tmp_path).went_well()


# ---- the slide was moved ----


def test_overlay_after_the_slide_moved(sac, slide, tmp_path):
    here = Path(shutil.copy(slide, tmp_path / "slide.tiff"))
    sac("segment", here, "--out", "n.geojson", *EVERYWHERE, cwd=tmp_path).went_well()
    overlay = ("overlay", "n.geojson", "--out", "look.png", "--region", "10,20,300,200")
    sac(*overlay, cwd=tmp_path).went_well()
    first = (tmp_path / "look.png").read_bytes()
    moved = here.rename(tmp_path / "moved.tiff")
    sac(*overlay, "--overwrite", cwd=tmp_path).refused("--slide", "slide.tiff")
    sac(*overlay, "--overwrite", "--slide", moved, cwd=tmp_path).went_well()
    assert (tmp_path / "look.png").read_bytes() == first
    other = SyntheticSlide(seed=22, shape_yx=(600, 700)).write_tiff(tmp_path / "other.tiff")
    sac(*overlay, "--overwrite", "--slide", other, cwd=tmp_path).refused("other.tiff", "not the slide")
    sac(*overlay, "--overwrite", "--slide", tmp_path, cwd=tmp_path).refused()
    assert (tmp_path / "look.png").read_bytes() == first


@pytest.mark.parametrize(
    "region",
    [
        "1,2,3",
        "a,b,c,d",
        "0,0,0,5",
        "0,0,-5,5",
        "5000,5000,10,10",
        "0,0,99999,9",
        "",
        "0,0,9e9,1",
        "1.5,0,5,5",
    ],
)
def test_invalid_regions(sac, slide, work, region):
    args = ("overlay", "n.geojson", "--out", "x.png", "--slide", slide)
    sac(*args, f"--region={region}", cwd=work).refused("--region")
    assert not (work / "x.png").exists()


@pytest.mark.parametrize("out", ["x.jpg", "no/such/x.png", ".png"])
def test_invalid_picture_names(sac, work, out):
    sac("overlay", "n.geojson", "--out", out, "--region", "0,0,9,9", cwd=work).refused()


# ---- tissue regions ----


def test_tissue_from_a_file(sac, slide, made, tmp_path):
    """A region keeps exactly the nuclei whose anchor is inside, unchanged."""
    ring = [[100, 50], [450, 120], [400, 500], [150, 420], [100, 50]]
    region = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (tmp_path / "r.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [region]}))
    args = ("segment", slide, "--out", "n.geojson", "--json", "--model", "classical", "--tissue", "r.geojson")
    summary = sac(*args, cwd=tmp_path).went_well().json
    run, whole = Run.open(tmp_path / "n.geojson"), Run.open(made / "n.geojson")
    import shapely

    polygon = shapely.Polygon(ring)
    downsample = run.provenance["frame"]["downsample"]

    def level0(anchors):
        return (anchors + 0.5) * downsample

    inside = [
        tuple(a)
        for a in whole.nuclei["anchor_yx"]
        if shapely.distance(polygon, shapely.Point(level0(a)[1], level0(a)[0])) == 0
    ]
    found = {tuple(a) for a in run.nuclei["anchor_yx"]}
    # within a pixel of the outline the convention of the centre decides
    sure = {
        a for a in inside if polygon.exterior.distance(shapely.Point(level0(np.array(a))[::-1])) > downsample
    }
    near = {
        tuple(a)
        for a in whole.nuclei["anchor_yx"]
        if polygon.distance(shapely.Point(level0(a)[::-1])) <= downsample
    }
    assert len(sure) > 20
    assert sure <= found <= near
    assert summary["tissue_mm2"] == pytest.approx(polygon.area * 0.25**2 / 1e6, rel=0.05)
    sac("verify", "n.geojson", cwd=tmp_path).went_well()
    ring[1][0] = 300
    region["geometry"]["coordinates"] = [ring]
    (tmp_path / "r.geojson").write_text(json.dumps(region))
    (tmp_path / "n.geojson").unlink()
    sac(*args, cwd=tmp_path).refused("tissue")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b'{"type":"Point","coordinates":[1,2]}',
        b"\xff",
        b'{"type":"FeatureCollection","features":[]}',
        b'{"type":"Polygon","coordinates":[[[0,0],[1,NaN],[1,1],[0,0]]]}',
        b"[" * 100_000,
    ],
    ids=["empty", "object", "list", "point", "binary", "no-features", "nan", "deep"],
)
def test_invalid_tissue_files(sac, slide, tmp_path, content):
    (tmp_path / "r.geojson").write_bytes(content)
    sac("segment", slide, "--out", "n.geojson", "--tissue", "r.geojson", cwd=tmp_path).refused("r.geojson")


@pytest.mark.parametrize("tissue", ["no.geojson", "somewhere", ".", "/dev/null"])
def test_missing_tissue_file(sac, slide, tmp_path, tissue):
    sac("segment", slide, "--out", "n.geojson", "--tissue", tissue, cwd=tmp_path).refused()


# ---- verify finds damage ----


def features_of(path: Path):
    return json.loads(path.read_bytes())


def move_a_vertex(document):
    document["features"][3]["geometry"]["coordinates"][0][1][0] += 7


def double_an_id(document):
    document["features"][5]["id"] = document["features"][4]["id"]


def drop_a_feature(document):
    del document["features"][7]


def add_a_feature(document):
    document["features"].append(document["features"][0])


def change_a_measurement(document):
    document["features"][2]["properties"]["measurements"]["Area µm^2"] *= 2


@pytest.mark.parametrize(
    "damage",
    [
        move_a_vertex,
        double_an_id,
        drop_a_feature,
        add_a_feature,
        change_a_measurement,
    ],
)
def test_verify_lists_what_is_wrong_in_geojson(sac, work, damage):
    path = work / "n.geojson"
    document = features_of(path)
    damage(document)
    first, rest = path.read_bytes().split(b"\n", 1)
    features = [json.dumps(f, ensure_ascii=False).encode() for f in document["features"]]
    path.write_bytes(first + b"\n" + b",\n".join(features) + b"\n]}\n")
    assert rest.endswith(b"\n]}\n"), "the layout that is imitated here"
    done = sac("verify", "n.geojson", cwd=work)
    assert done.code == 1, done.out
    assert len(done.out.splitlines()) > 1
    assert "no problems found" not in done.out
    report = sac("verify", "n.geojson", "--json", cwd=work)
    assert report.code == 1
    assert not report.json["ok"]
    assert report.json["problems"]
    assert sac("verify", "n.zarr", cwd=work).went_well()


def test_verify_of_an_output_cut_short(sac, work):
    for form in FORMS:
        path = work / f"n{form}"
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        done = sac("verify", path.name, cwd=work)
        assert done.code == 1, (form, done)
        assert "Traceback" not in done.out + done.err, form


def chunk(work: Path, array: str) -> Path:
    return next(p for p in (work / "n.zarr" / array / "c").rglob("*") if p.is_file())


def flip_chunk(work, array="0"):
    path = chunk(work, array)
    data = bytearray(path.read_bytes())
    middle = len(data) // 3
    data[middle : middle + 64] = bytes(b ^ 0xFF for b in data[middle : middle + 64])
    path.write_bytes(data)


def cut_chunk(work):
    path = chunk(work, "0")
    path.write_bytes(path.read_bytes()[:-20])


def lose_chunk(work):
    chunk(work, "0").unlink()


def swap_labels(work):
    labels = zarr.open_array(work / "n.zarr", path="0", mode="r+")
    values = np.asarray(labels[:])
    values[values == 3] = 5
    labels[:] = values


def erase_a_label(work):
    labels = zarr.open_array(work / "n.zarr", path="0", mode="r+")
    values = np.asarray(labels[:])
    values[values == 3] = 0
    labels[:] = values


def lose_a_column(work):
    shutil.rmtree(work / "n.zarr" / "nuclei" / "box")


def flip_a_column(work):
    flip_chunk(work, "nuclei/polygon_xy_centipx")


def spoil_the_attributes(work):
    path = work / "n.zarr" / "zarr.json"
    path.write_text(path.read_text()[:-30])


@pytest.mark.parametrize(
    "damage",
    [
        flip_chunk,
        cut_chunk,
        lose_chunk,
        swap_labels,
        erase_a_label,
        lose_a_column,
        flip_a_column,
        spoil_the_attributes,
    ],
)
def test_verify_of_a_damaged_store(sac, work, damage):
    damage(work)
    done = sac("verify", "n.geojson", cwd=work)
    assert done.code == 1, done.out + done.err
    assert "Traceback" not in done.out + done.err
    assert done.complaints or len(done.out.splitlines()) > 1


@pytest.mark.parametrize("damage", [flip_chunk, cut_chunk, flip_a_column])
def test_export_of_a_damaged_store(sac, work, damage):
    damage(work)
    exported = sac("export", "n.zarr", "--out", "e.tif", "--out", "e.geojson", cwd=work)
    assert not list(work.glob(".sac-wsi-*")), "nothing half written"
    exported.refused("n.zarr", code=1)


@pytest.mark.long  # .ci/run runs the demo as the README says
def test_demo(sac, tmp_path):
    sac("demo", "--out", "demo", cwd=tmp_path, timeout=300).went_well()
    made = {p.name for p in (tmp_path / "demo").iterdir()}
    assert {"slide.tiff", "nuclei.geojson", "nuclei.zarr", "overlay.png", "density.png"} <= made
    sac("verify", "demo/nuclei.geojson", cwd=tmp_path).went_well()


def test_no_output_replaces_the_slide_itself(sac, tmp_path):
    """An input image can easily have the name of a label image or an overlay."""
    image = tmp_path / "image.png"
    Image.fromarray(SyntheticSlide(seed=4, shape_yx=(300, 300)).render(Box(0, 0, 300, 300))).save(image)
    sac("segment", "image.png", "--out", "n.geojson", "--mpp", "0.25", cwd=tmp_path).went_well()
    before = image.read_bytes()
    for command in (("export", "n.geojson"), ("overlay", "n.geojson")):
        sac(*command, "--out", "image.png", "--overwrite", cwd=tmp_path).refused(
            "is an input of this command"
        )
    assert image.read_bytes() == before
