"""The dependency rule: a module imports only from its own layer or lower ones."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sac_wsi

ROOT = Path(sac_wsi.__file__).parent

LAYERS = (
    {"errors", "interrupt"},
    {"geometry", "typed"},
    {
        "files",
        "partial_file",
        "http_fetch",
        "download",
        "model_files",
        "columns_file",
        "memory",
        "table",
        "nuclei",
        "bits",
        "links",
    },
    {
        "metrics",
        "masks",
        "grid",
        "stain",
        "segmenter",
        "polygons",
        "measure",
        "identity",
        "stitch",
        "slide",
        "peaks",
    },
    {"prompts", "target_maps", "instances", "whole_image"},
    {
        "label_files",
        "tissue",
        "region",
        "person_points",
        "ellipses",
        "classical",
        "testing",
        "model",
        "train",
    },
    {
        "journal",
        "executors",
        "store",
        "export",
        "labels",
        "overlay",
        "check",
        "work",
        "seams",
        "finish",
        "publish",
    },
    {"config", "outputs", "run"},
    {"plan", "segment", "verify", "picture", "demo", "evaluate", "evaluate_model", "reproduce"},
    {"cli"},
    {"__main__"},
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

HEAVY = {"torch", "torchvision", "segment_anything", "safetensors", "tiatoolbox"}
ALLOWED = {
    "slide/tiatoolbox_reader.py": {"tiatoolbox"},
    "train/tiatoolbox_stain.py": {"tiatoolbox"},
    "model": HEAVY - {"tiatoolbox"},
    "train": {"torch"},
    "reproduce/tiny.py": {"torch"},
}
"""The model and its training run where there are no slides: on a bare machine with a GPU."""
NOT_WHERE_THERE_IS_NO_SLIDE = {"zarr", "openslide", "tiatoolbox", "dask", "distributed", "tifffile"}


def modules():
    return sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def part_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def test_every_module_has_a_layer():
    assert {part_of(path) for path in modules()} == set(RANK)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path):
    own = RANK[part_of(path)]
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "sac_wsi" and len(parts) > 1:
            assert RANK[parts[1]] <= own, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_stay_where_they_belong(path):
    place = path.relative_to(ROOT).as_posix()
    allowed = ALLOWED.get(place, ALLOWED.get(part_of(path), set()))
    assert not ({name.split(".")[0] for name in imports(path)} & HEAVY) - allowed


@pytest.mark.parametrize("module", ["model.segmenter", "model.choose", "model.describe", "train.losses"])
def test_model_and_training_load_without_what_slides_need(module):
    code = f"""
import sys
for name in {sorted(NOT_WHERE_THERE_IS_NO_SLIDE)}: sys.modules[name] = None
import sac_wsi.{module}
"""
    subprocess.run([sys.executable, "-c", code], check=True)
