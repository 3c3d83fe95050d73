"""Whatever the metadata of a store or the header of an output hold, only errors of ours come out."""

import json
import random
import shutil
from contextlib import suppress

import pytest

import sac_wsi
from sac_wsi.errors import SacWsiError
from sac_wsi.geometry import Box
from sac_wsi.pictures.draw_run import draw_region, draw_slide
from sac_wsi.testing import SyntheticSlide
from sac_wsi.verify.check_run import verify_run

CONFIG = sac_wsi.load_config(overrides=["model=classical", "tissue=none"])
ODD = (None, 0, -1, 1e308, 10**400, "x", [], {}, [1, 2], {"a": 1}, True, "\ud800", 3.5, [[]])


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    SyntheticSlide(seed=7, shape_yx=(400, 400)).write_tiff(folder / "slide.tiff")
    sac_wsi.segment_slide(folder / "slide.tiff", folder / "n.geojson", config=CONFIG)
    return folder


def change(rng, node):
    """Replace or remove one value somewhere in nested lists and mappings."""
    while True:
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        inside = node[key]
        if isinstance(inside, dict | list) and inside and rng.random() < 0.8:
            node = inside
            continue
        if rng.random() < 0.25:
            del node[key]
        else:
            node[key] = rng.choice(ODD)
        return


def damage(rng, folder):
    """Change a value, or cut the file, in the metadata of the store or the header of the GeoJSON."""
    files = sorted((folder / "n.zarr").rglob("zarr.json"))
    path = rng.choice([folder / "n.zarr" / "zarr.json", rng.choice(files), folder / "n.geojson"])
    text = path.read_text()
    first, _, rest = text.partition("\n") if path.suffix == ".geojson" else (text, "", "")
    content = json.loads(f"{first}]}}" if rest else first)
    if rng.random() < 0.1:
        path.write_text(text[: rng.randrange(len(text))])
        return
    change(rng, content["sac_wsi"] if rest else rng.choice([content, content["attributes"] or content]))
    if rest:
        header = json.dumps(content.get("sac_wsi"), separators=(",", ":"))
        path.write_text(f'{{"type":"FeatureCollection","sac_wsi":{header},"features":[\n{rest}')
    else:
        path.write_text(json.dumps(content))


def use(folder):
    """Do all that reads a store; only errors of ours may come out."""
    for work in (
        lambda: len(sac_wsi.Run.open(folder / "n.geojson").nuclei),
        lambda: verify_run(folder / "n.geojson"),
        lambda: draw_slide(sac_wsi.Run.open(folder / "n.geojson")),
        lambda: draw_region(sac_wsi.Run.open(folder / "n.geojson"), Box(0, 0, 100, 100)),
        lambda: sac_wsi.Run.open(folder / "n.zarr").export(folder / "x.zip"),
        lambda: sac_wsi.segment_slide(folder / "slide.tiff", folder / "n.geojson", config=CONFIG),
    ):
        with suppress(SacWsiError):
            work()


def survives(sound, tmp_path, seeds):
    for seed in seeds:
        folder = tmp_path / str(seed)
        shutil.copytree(sound, folder)
        damage(random.Random(seed), folder)
        try:
            use(folder)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
        shutil.rmtree(folder)


def test_some_damage(sound, tmp_path):
    survives(sound, tmp_path, range(40))


@pytest.mark.long
def test_much_damage(sound, tmp_path):
    survives(sound, tmp_path, range(1000, 3000))
