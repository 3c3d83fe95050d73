import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sac_wsi.cli.data import command
from sac_wsi.datasets.layouts import open_layout
from sac_wsi.datasets.pack import Pack
from sac_wsi.errors import DataError, SacWsiError
from sac_wsi.testing.datasets import make_dsb, make_folders

PIPELINE = Path(__file__).resolve().parents[3] / "pipelines/pack_training.py"
MODULES = (
    "sample",
    "monuseg",
    "dsb",
    "glas",
    "folders",
    "split",
    "check",
    "contact_sheet",
    "pack",
    "layouts",
)
BARE = ["zarr", "openslide", "tiatoolbox", "dask", "distributed", "tifffile", "torch", "numba", "skimage"]


def check(*options):
    return CliRunner().invoke(command, ["check", *map(str, options)])


def test_a_dataset_is_described(tmp_path):
    images, labels = make_folders(tmp_path, ["a", "b"])
    done = check(
        "--kind",
        "folders",
        "--images",
        images,
        "--labels",
        labels,
        "--mpp",
        0.5,
        "--sheet",
        tmp_path / "s.png",
    )
    assert done.exit_code == 0, done.output
    assert "objects    4" in done.output
    assert "median 25.5 µm²" in done.output
    assert (tmp_path / "s.png").stat().st_size


def test_json_and_exit_code_where_something_is_serious(tmp_path):
    images, labels = make_folders(tmp_path, ["a", "b"])
    (labels / "a.png").unlink()
    done = check("--kind", "folders", "--images", images, "--labels", labels, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["findings"][0]["detail"] == "a.png has no annotation"


def test_an_existing_sheet_is_an_error_before_the_work(tmp_path):
    (tmp_path / "s.png").write_text("mine")
    done = check("--kind", "dsb", "--images", tmp_path, "--sheet", tmp_path / "s.png")
    assert isinstance(done.exception, SacWsiError)
    assert (tmp_path / "s.png").read_text() == "mine"


def test_options_that_do_not_fit_the_layout(tmp_path):
    with pytest.raises(DataError, match="give the folder of labels"):
        open_layout("folders", tmp_path)
    with pytest.raises(DataError, match="leave out --labels"):
        open_layout("glas", tmp_path, tmp_path)
    with pytest.raises(DataError, match="leave out --mpp"):
        open_layout("dsb", tmp_path, mpp=0.5)
    with pytest.raises(DataError, match="no layout 'dbs'"):
        open_layout("dbs", tmp_path)


def test_the_pipeline_packs_and_the_pack_can_be_checked(tmp_path):
    make_dsb(tmp_path / "dsb", [f"{i:02}" for i in range(10)])
    images, labels = make_folders(tmp_path / "own", ["p1", "p2", "p3"])
    out = tmp_path / "a.zip"
    line = [sys.executable, PIPELINE, out, "--dsb", tmp_path / "dsb", "--folders", images, labels]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pack = Pack.open(out)
    assert {sample.split for sample in pack.as_dataset().samples} == {"train", "val"}
    assert [(origin.name, origin.images) for origin in pack.manifest.origins] == [("dsb2018", 9), ("own", 3)]
    again = subprocess.run(line, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "--overwrite" in again.stderr
    assert len(open_layout("pack", out)) == 12


def test_readers_load_on_a_bare_machine():
    imports = "\n".join(f"import sac_wsi.datasets.{name}" for name in MODULES)
    code = f"import sys\nfor name in {BARE}: sys.modules[name] = None\n{imports}"
    subprocess.run([sys.executable, "-c", code], check=True)
