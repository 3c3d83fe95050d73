"""The dependency rule: a folder imports only folders of lower layers; inside a folder, order is one-way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sac_wsi

ROOT = Path(sac_wsi.__file__).parent

LAYERS = (
    {"errors", "geometry"},
    {"system", "charts"},
    {"files"},
    {"settings"},
    {"nuclei", "slide", "weights"},
    {"tiling", "tissue", "export"},
    {"classical", "model", "testing", "store"},
    {"datasets", "pictures", "verify"},
    {"evaluate", "engine"},
    {"train"},
    {"reproduce"},
    {"cli"},
    {"__main__"},
)
RANK = {folder: rank for rank, layer in enumerate(LAYERS) for folder in layer}
MODEL_LAYERS = ("points", "nets", "checkpoint", "predict")
MOST_EDGES = 150

HEAVY = {"torch", "torchvision", "segment_anything", "safetensors", "openvino", "tiatoolbox"}
ALLOWED = {
    "slide/readers/tiatoolbox_reader.py": {"tiatoolbox"},
    "train/tiatoolbox_stain.py": {"tiatoolbox"},
    "model": HEAVY - {"tiatoolbox"},
    "train": {"torch"},
    "reproduce/untrained.py": {"torch"},
}
"""The model and its training run where there are no slides: on a bare machine with a GPU."""
NOT_WHERE_THERE_IS_NO_SLIDE = {"zarr", "openslide", "tiatoolbox", "dask", "distributed", "tifffile"}


def modules():
    """Every module by its dotted name under ``sac_wsi``, without the package's own ``__init__``."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = path
    return found


MODULES = modules()


def imported_names(path):
    """Dotted names of all imports of a file; ``from a.b import c`` gives a.b.c."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(path):
    """The modules of the package that a file imports, by their names under ``sac_wsi``."""
    for name in imported_names(path):
        first, _, rest = name.partition(".")
        if first != "sac_wsi" or rest == "__version__":
            continue
        yield rest if rest in MODULES else rest.rpartition(".")[0]


GRAPH = {name: set(own_imports(path)) for name, path in MODULES.items()}


def folder_of(name):
    return name.split(".")[0]


def test_every_folder_has_a_layer():
    assert {folder_of(name) for name in MODULES} == set(RANK)
    files = {path.stem for path in ROOT.glob("*.py")}
    assert files == {"__init__", "__main__", "errors", "geometry"}


def test_folders_import_only_from_lower_layers():
    wrong = [
        f"{name} imports {other}"
        for name, others in GRAPH.items()
        for other in others
        if folder_of(name) != folder_of(other)
        and RANK[folder_of(name)] <= RANK[folder_of(other) or "__main__"]
    ]
    assert not wrong


def test_folders_import_few_others():
    edges = {(folder_of(name), folder_of(other)) for name, others in GRAPH.items() for other in others}
    assert len([edge for edge in edges if edge[0] != edge[1]]) <= MOST_EDGES


def test_the_model_is_built_from_points_to_prediction():
    rank = {f"model.{part}": i for i, part in enumerate(MODEL_LAYERS)}
    wrong = [
        f"{name} imports {other}"
        for name, others in GRAPH.items()
        for other in others
        if folder_of(name) == folder_of(other) == "model"
        and rank[".".join(name.split(".")[:2])] < rank[".".join(other.split(".")[:2])]
    ]
    assert not wrong


def test_no_module_imports_itself_by_a_detour():
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in done:
            return
        path.append(name)
        for other in sorted(GRAPH.get(name, ())):
            visit(other)
        done.add(path.pop())

    for name in GRAPH:
        visit(name)


def test_heavy_libraries_stay_where_they_belong():
    wrong = []
    for name, path in MODULES.items():
        allowed = ALLOWED.get(path.relative_to(ROOT).as_posix(), ALLOWED.get(folder_of(name), set()))
        found = {imported.split(".")[0] for imported in imported_names(path)}
        wrong += [f"{name} imports {library}" for library in (found & HEAVY) - allowed]
    assert not wrong


def test_unit_tests_mirror_the_folders():
    folders = {path.name for path in Path(__file__).parent.iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders <= set(RANK)


@pytest.mark.parametrize(
    "module", ["model.predict.segmenter", "model.predict.choose", "model.checkpoint.describe", "train.losses"]
)
def test_model_and_training_load_without_what_slides_need(module):
    code = f"""
import sys
for name in {sorted(NOT_WHERE_THERE_IS_NO_SLIDE)}: sys.modules[name] = None
import sac_wsi.{module}
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_prompter_runs_on_a_cpu_without_pytorch():
    code = """
import sys
for name in ("torch", "torchvision", "segment_anything"): sys.modules[name] = None
import sac_wsi.model.predict.choose, sac_wsi.model.predict.openvino_runner, sac_wsi.engine.segment
"""
    subprocess.run([sys.executable, "-c", code], check=True)
