"""Damaged and unusual files are refused with one line, segmented in part with a report, or segmented in full.

None of them causes a traceback or a hang. Numbers in docstrings are those of the list of bad inputs.
"""

import gzip
import io
import json
import os
import shutil
import struct
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image
from tifffile import TiffFile

from sac_wsi import Run
from sac_wsi.testing import SyntheticSlide, break_tile, truncate
from sac_wsi.testing.tiff_file import PyramidFile

APERIO = "Aperio Image Library v11.2.1\n600x500 (256x256) JPEG/RGB Q=90"
FORMS = (".geojson", ".geojson.gz", ".zip", ".tif", ".png")
EVERYWHERE = ("--model", "classical", "--tissue", "none")
OFFSETS, COUNTS = "TileOffsets", "TileByteCounts"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A slide of 500 x 600 pixels with two levels and six JPEG tiles."""
    return SyntheticSlide(seed=11, shape_yx=(500, 600)).write_tiff(
        tmp_path_factory.mktemp("good") / "good.tiff", levels=2
    )


@pytest.fixture(scope="module")
def expected(sac, good, tmp_path_factory):
    """The result for the undamaged slide."""
    folder = tmp_path_factory.mktemp("expected")
    sac("segment", good, "--out", "n.geojson", *EVERYWHERE, cwd=folder).went_well()
    return Run.open(folder / "n.geojson")


@pytest.fixture
def slide(good, tmp_path):
    return Path(shutil.copy(good, tmp_path / "a.tiff"))


def as_svs(good: Path, path: Path, *properties: str, pages: tuple[str, ...] = (), **tags: object) -> Path:
    """Write the same pixels with an Aperio description; ``pages`` are the descriptions of further images."""
    pixels = tifffile_pixels(good)
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(
            iter(jpeg_tiles(pixels)),
            shape=pixels.shape,
            dtype=np.uint8,
            tile=(256, 256),
            compression="jpeg",
            photometric="ycbcr",
            subsampling=(1, 1),
            description="|".join((APERIO, *properties)),
            metadata=None,
            **tags,
        )
        for description, kind in zip(pages, (0, 1, 9), strict=False):
            thumbnail = np.ascontiguousarray(pixels[::8, ::8])
            tiff.write(
                thumbnail,
                photometric="rgb",
                description=description,
                metadata=None,
                rowsperstrip=16,
                subfiletype=kind,
            )
    return path


def tifffile_pixels(path: Path) -> np.ndarray:
    with openslide.OpenSlide(path) as opened:
        return np.asarray(opened.read_region((0, 0), 0, opened.dimensions))[..., :3]


def jpeg_tiles(rgb: np.ndarray, side: int = 256, subsampling: str = "4:4:4") -> list[bytes]:
    tiles = []
    for y in range(0, rgb.shape[0], side):
        for x in range(0, rgb.shape[1], side):
            tile = np.full((side, side, 3), 255, np.uint8)
            part = rgb[y : y + side, x : x + side]
            tile[: part.shape[0], : part.shape[1]] = part
            buffer = io.BytesIO()
            Image.fromarray(tile).save(buffer, "JPEG", quality=95, subsampling=subsampling)
            tiles.append(buffer.getvalue())
    return tiles


def edit_tag(path: Path, name: str, change, level: int = 0) -> None:
    with TiffFile(path, mode="r+b") as tiff:
        tag = tiff.pages[level].tags[name]
        values = tag.value if isinstance(tag.value, tuple) else (tag.value,)
        tag.overwrite(change(list(values)))


def at(index: int, value: int):
    def change(values: list[int]) -> list[int]:
        values[index] = value
        return values

    return change


# ---- refused ----


def empty(path):
    path.write_bytes(b"")


def eight_bytes(path):
    path.write_bytes(path.read_bytes()[:8])


def half(path):
    truncate(path, 0.5)


def one_byte_short(path):
    os.truncate(path, path.stat().st_size - 1)


def size_zero(path):
    edit_tag(path, "ImageWidth", lambda _: 0)


def endless(path):
    """Write 2,000,000 x 2,000,000 pixels into 62 kB."""
    with PyramidFile(path, [(2_000_000, 2_000_000)], 32_768, 0.25, big=False) as file:
        for _ in range(62 * 62):
            file.add(0, b"")


def directory_loop(path):
    with TiffFile(path) as tiff:
        start = tiff.pages.first.offset
    data = bytearray(path.read_bytes())
    count = struct.unpack_from("<H", data, start)[0]
    struct.pack_into("<I", data, start + 2 + 12 * count, start)
    path.write_bytes(data)


def deep(path):
    pixels = np.zeros((300, 300, 3), np.uint16)
    tifffile.imwrite(path, pixels, tile=(128, 128), photometric="rgb", resolution=(40_000, 40_000))


def text(path):
    path.write_text("no slide\n" * 1000)


def html(path):
    path.write_text("<!DOCTYPE html><title>Log in</title>" + " " * 5000)


def fifo(path):
    path.unlink()
    os.mkfifo(path)


def folder(path):
    path.unlink()
    path.mkdir()


def gone(path):
    path.unlink()


def looping_link(path):
    path.unlink()
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (empty, "empty"),
        (eight_bytes, "a.tiff"),
        (half, "truncated"),
        (one_byte_short, "truncated"),
        (endless, "the limit is"),
        (size_zero, "a.tiff"),
        (directory_loop, "loop"),
        (deep, "16 bits per sample"),
        (text, "is not a slide"),
        (html, "is not a slide"),
        (fifo, "FIFO"),
        (folder, "is a folder"),
        (gone, "does not exist"),
        (looping_link, "cannot be read"),
    ],
)
def test_refused(sac, slide, tmp_path, damage, words):
    damage(slide)
    sac("segment", slide, "--out", "n.geojson", *EVERYWHERE, cwd=tmp_path).refused(words)
    sac("info", slide, "--json", cwd=tmp_path).refused(words)
    assert [p.name for p in tmp_path.iterdir() if p != slide] == [], "a refusal leaves nothing"


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero", "/dev/stdin"])
def test_devices(sac, tmp_path, device):
    sac("segment", device, "--out", "n.geojson", cwd=tmp_path).refused()


@pytest.mark.parametrize("share", [0.02, 0.2, 0.7, 0.9, 0.97, 0.999])
def test_a_truncated_file_is_never_segmented_without_error(sac, slide, tmp_path, share):
    truncate(slide, share)
    done = sac("segment", slide, "--out", "n.geojson", *EVERYWHERE, cwd=tmp_path)
    assert done.code in (1, 2)
    assert len(done.complaints) == 1
    assert "Traceback" not in done.err


# ---- resolution ----


@pytest.mark.parametrize(
    "mpp", [None, "0", "-0.25", "inf", "nan", "352.8", "about 40x", "1e400", "", "0x1", "1_0"]
)
def test_an_implausible_resolution_counts_as_missing(sac, good, tmp_path, mpp):
    slide = as_svs(good, tmp_path / "a.svs", *([] if mpp is None else [f"MPP = {mpp}"]))
    args = ("segment", slide, "--out", "n.geojson", *EVERYWHERE)
    sac(*args, cwd=tmp_path).refused("a.svs has no microns per pixel", "--mpp")
    assert sac("info", slide, "--json", cwd=tmp_path).went_well().json["mpp"] is None
    assert not (tmp_path / "n.zarr.partial").exists()
    if mpp == "352.8":
        for wrong in ("0", "-1", "inf", "nan", "352.8"):
            sac(*args, f"--mpp={wrong}", cwd=tmp_path).refused("--mpp")
        assert sac(*args, "--mpp", "0.25", "--json", cwd=tmp_path).went_well().json["nuclei"] > 20


@pytest.mark.parametrize("unit", ["µm", "μm", "&#181;m", "micron", "um"])
def test_units_of_an_untiled_ome_tiff(sac, good, tmp_path, unit):
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image><Pixels PhysicalSizeX="0.25" PhysicalSizeXUnit="{unit}" PhysicalSizeY="0.25" '
        f'PhysicalSizeYUnit="{unit}"/></Image></OME>'
    )
    tifffile.imwrite(tmp_path / "a.ome.tif", tifffile_pixels(good), description=xml.encode(), metadata=None)
    found = sac("info", "a.ome.tif", "--json", cwd=tmp_path).went_well().json
    assert (found["mpp"], found["mpp_source"]) == (0.25, "OME PhysicalSizeX")


def test_a_fluorescence_scan_is_refused_by_name(sac, tmp_path):
    rng = np.random.default_rng(0)
    rgb = np.full((600, 600, 3), (4, 4, 9), np.uint8)
    for y, x in rng.integers(10, 590, (150, 2)):
        rgb[y - 8 : y + 8, x - 8 : x + 8] = (20, 30, 190)
    Image.fromarray(rgb).save(tmp_path / "dapi.png")
    args = ("segment", "dapi.png", "--mpp", "0.25", "--out", "n.geojson")
    sac(*args, *EVERYWHERE, cwd=tmp_path).refused("dark, like a fluorescence scan", "--allow-fluorescence")
    sac(*args, "--allow-fluorescence", *EVERYWHERE, cwd=tmp_path).went_well()


def test_tiles_without_data_are_reported(sac, slide, tmp_path):
    edit_tag(slide, COUNTS, lambda counts: (0, *counts[1:]))
    done = sac("segment", slide, "--out", "n.geojson", "--json", *EVERYWHERE, cwd=tmp_path)
    assert done.code == 0, done.err
    assert "1 tiles of the file hold no data" in " ".join(done.json["warnings"])


def test_pixels_that_are_not_square(sac, slide, tmp_path):
    edit_tag(slide, "YResolution", lambda _: (39_000, 1))
    args = ("segment", slide, "--out", "n.geojson", *EVERYWHERE)
    sac(*args, cwd=tmp_path).refused("not square", "--mpp")
    sac(*args, "--mpp", "0.25", cwd=tmp_path).went_well()


def test_an_objective_that_contradicts_is_a_warning(sac, good, tmp_path):
    slide = as_svs(good, tmp_path / "a.svs", "MPP = 0.25", "AppMag = 10")
    done = sac("segment", slide, "--out", "n.geojson", "--json", *EVERYWHERE, cwd=tmp_path).went_well()
    assert "10x objective" in " ".join(done.json["warnings"])
    assert "10x objective" in done.err


def test_a_decimal_comma(sac, good, tmp_path):
    slide = as_svs(good, tmp_path / "a.svs", "MPP = 0,25")
    assert sac("info", slide, "--json", cwd=tmp_path).went_well().json["mpp"] == 0.25
    sac("segment", slide, "--out", "n.geojson", *EVERYWHERE, cwd=tmp_path).went_well()


@pytest.mark.parametrize("mpp", [0.5, 1.0])
def test_a_coarse_slide_is_rescaled_for_a_fine_model(sac, tmp_path, mpp):
    """28: nuclei keep their size in micrometres and their position in level-0 pixels."""
    scene = SyntheticSlide(seed=12, shape_yx=(400, 440), mpp=mpp)
    scene.write_tiff(tmp_path / "a.tiff")
    args = ("segment", "a.tiff", "--out", "n.geojson", "--set", "classical.mpp=0.25", *EVERYWHERE)
    sac(*args, cwd=tmp_path).went_well()
    run = Run.open(tmp_path / "n.geojson")
    truth = scene.truth(scene.box)
    true_um2 = np.median(truth.area_px) * mpp**2
    assert np.median(run.nuclei["Area µm^2"]) == pytest.approx(true_um2, rel=0.3)
    centre = np.column_stack([run.nuclei["Centroid Y µm"], run.nuclei["Centroid X µm"]])
    distance = np.linalg.norm(truth.anchor_yx[:, None] * mpp - centre[None], axis=2).min(axis=1)
    assert (distance < 2.0).mean() > 0.6
    sac("verify", "n.geojson", cwd=tmp_path).went_well()


# ---- segmented in part ----


def zeroed(path):
    with TiffFile(path) as tiff:
        start, size = tiff.pages.first.dataoffsets[0], tiff.pages.first.databytecounts[0]
    data = bytearray(path.read_bytes())
    data[start : start + size] = bytes(size)
    path.write_bytes(data)


def offset_past_the_end(path):
    edit_tag(path, OFFSETS, at(0, path.stat().st_size + 10_000))


def count_of_4_gb(path):
    edit_tag(path, COUNTS, at(0, 2**32 - 1))


def level_0_cut(path):
    """5: the directories come first and the pixels of level 0 last; the copy stopped among these pixels."""
    data = path.read_bytes()
    with TiffFile(path) as tiff:
        offsets, sizes = tiff.pages.first.dataoffsets, tiff.pages.first.databytecounts
    moved, new = bytearray(data), []
    for start, size in zip(offsets[::-1], sizes[::-1], strict=True):  # tile 0 becomes the last
        new.append(len(moved))
        moved += data[start : start + size]
    path.write_bytes(moved)
    edit_tag(path, OFFSETS, lambda _: new[::-1])
    os.truncate(path, len(moved) - sizes[0] // 2)


def jpeg_too_large(path):
    """12: a JPEG of 4096² pixels in a tile of 256² pixels."""
    buffer = io.BytesIO()
    Image.new("RGB", (4096, 4096)).save(buffer, "JPEG")
    start, jpeg = path.stat().st_size, buffer.getvalue()
    with path.open("ab") as file:
        file.write(jpeg)
    edit_tag(path, OFFSETS, at(0, start))
    edit_tag(path, COUNTS, at(0, len(jpeg)))


TILED = (*EVERYWHERE, "--set", "grid.tile_px=256", "--set", "grid.halo_um=12", "--set", "classical.mpp=0.25")
"""Cores of 160 pixels: most of them do not need tile 0 of the file."""


@pytest.fixture(scope="module")
def expected_tiled(sac, good, tmp_path_factory):
    where = tmp_path_factory.mktemp("tiled")
    sac("segment", good, "--out", "n.geojson", *TILED, cwd=where).went_well()
    return Run.open(where / "n.geojson")


@pytest.mark.parametrize(
    "damage", [zeroed, break_tile, level_0_cut, offset_past_the_end, count_of_4_gb, jpeg_too_large]
)
def test_a_broken_tile_fails_only_the_tiles_that_read_it(sac, slide, tmp_path, damage, expected_tiled):
    """The failure is reported with its reason and by the exit code; all other nuclei are exactly the same."""
    damage(slide, 0) if damage is break_tile else damage(slide)
    args = ("segment", slide, "--out", "n.geojson", "--json", *TILED)
    done = sac(*args, cwd=tmp_path)
    assert done.code == 1, done.err
    assert len(done.complaints) == 1, done.err
    assert "tiles failed" in done.complaints[0]
    assert "Traceback" not in done.err
    summary = done.json
    failed = summary["tiles"]["failed"]
    assert 0 < failed == len(summary["failures"]) < sum(summary["tiles"].values())
    assert all("could not be read" in reason for _, reason in summary["failures"])
    assert sac("verify", "n.geojson", cwd=tmp_path).went_well()
    anchors = {tuple(a) for a in Run.open(tmp_path / "n.geojson").nuclei["anchor_yx"]}
    whole = expected_tiled.nuclei["anchor_yx"]
    beyond = whole[(whole >= 256 + 160 + 4).any(axis=1)]
    assert len(beyond) > 5
    assert {tuple(a) for a in beyond} <= anchors
    again = sac(*args, cwd=tmp_path)
    assert again.code == 1, "the run on disk has failed tiles"
    assert again.json["reused"]
    sac(*args, "--max-failed-tiles", failed, cwd=tmp_path).went_well()
    assert sac(*args, "--max-failed-tiles", failed - 1, cwd=tmp_path).code == 1


def test_a_byte_count_of_0_reads_as_background(sac, slide, tmp_path, expected_tiled):
    """9: in TIFF this means that nothing was scanned there."""
    edit_tag(slide, COUNTS, at(0, 0))
    sac("segment", slide, "--out", "n.geojson", *TILED, cwd=tmp_path).went_well()
    run = Run.open(tmp_path / "n.geojson")
    assert 0 < len(run.nuclei) < len(expected_tiled.nuclei)
    assert not (run.nuclei["anchor_yx"] < 250).all(axis=1).any()


def test_one_flipped_byte_of_pixels(sac, slide, tmp_path):
    """8: no reader can detect it."""
    with TiffFile(slide) as tiff:
        start = tiff.pages.first.dataoffsets[1] + tiff.pages.first.databytecounts[1] // 2
    with slide.open("r+b") as file:
        file.seek(start)
        byte = file.read(1)[0]
        file.seek(start)
        file.write(bytes([byte ^ 0x10]))
    done = sac("segment", slide, "--out", "n.geojson", *EVERYWHERE, cwd=tmp_path)
    assert done.code in (0, 1)
    assert "Traceback" not in done.err
    sac("verify", "n.geojson", cwd=tmp_path).went_well()


# ---- no nuclei ----


def flat(path: Path, colour: tuple[int, ...]) -> Path:
    """Write 0.3 mm² of one colour as TIFF, or PNG if transparent; smaller areas count as holes in tissue."""
    if len(colour) == 4:
        Image.new("RGBA", (600, 500), colour).save(path)
        return path
    tiles = jpeg_tiles(np.full((512, 768, 3), colour, np.uint8), subsampling="4:2:0")
    with PyramidFile(path, [(500, 600)], 256, 1.0, big=False) as file:
        for tile in tiles:
            file.add(0, tile)
    return path


@pytest.mark.parametrize(
    ("name", "colour", "flag"),
    [
        ("a.tiff", (255, 255, 255), "no tissue was found"),
        ("a.tiff", (0, 0, 0), "black areas were found"),
        ("a.tiff", (240, 238, 243), None),
        ("a.png", (255, 0, 255, 0), None),
    ],
    ids=["white", "black", "glass", "transparent"],
)
def test_a_slide_without_nuclei_is_segmented(sac, tmp_path, name, colour, flag):
    flat(tmp_path / name, colour)
    outs = [word for form in FORMS for word in ("--out", f"n{form}")]
    where = ("--tissue", "default" if flag else "none", "--mpp", "1", "--model", "classical")
    summary = sac("segment", name, *outs, *where, "--json", cwd=tmp_path).went_well().json
    assert summary["nuclei"] == 0
    assert summary["tiles"]["failed"] == 0
    if flag:
        assert flag in " ".join(summary["warnings"])
        assert summary["tiles"]["done"] == 0
        assert summary["tissue_mm2"] == 0
    for form in FORMS:
        assert sac("verify", f"n{form}", "--json", cwd=tmp_path).went_well().json["ok"]
    assert json.loads((tmp_path / "n.geojson").read_bytes())["features"] == []
    assert not np.asarray(Image.open(tmp_path / "n.png")).any()
    sac("overlay", "n.geojson", "--out", "d.png", cwd=tmp_path).went_well()
    sac("overlay", "n.geojson", "--out", "r.png", "--region", "0,0,200,200", cwd=tmp_path).went_well()


# ---- names ----

NFC, NFD = (unicodedata.normalize(form, "Häma") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("slide_name", "out", "before"),
    [
        ("sub/../a.tiff", "sub/../n.geojson", ()),
        ("new\nline.tiff", "new\nline.geojson", ()),
        ("tab\tand\x1b[31mred.tiff", "\x1b[31m.geojson", ()),
        ("./-rf.tiff", "./-rf.geojson", ()),
        ("-rf.tiff", "-rf.geojson", ("--",)),
        ("x" * 250 + ".tiff", "y" * 230 + ".geojson", ()),
        ("two words & 'quotes' $HOME.tiff", "two words & 'quotes' $HOME.geojson", ()),
        (b"latin-\xe4.tiff".decode(errors="surrogateescape"), "n.geojson", ()),
        (f"{NFD}.tiff", f"{NFD}.geojson", ()),
        ("no-ending", "n.geojson", ()),
        ("n.geojson.tiff", "n.tiff.geojson", ()),
    ],
    ids=["dots", "newline", "escape", "dash", "dashdash", "255", "shell", "latin1", "nfd", "bare", "endings"],
)
def test_odd_names(sac, good, tmp_path, slide_name, out, before):
    (tmp_path / "sub").mkdir()
    shutil.copy(good, tmp_path / slide_name)
    args = ("--json", "--out", out, *EVERYWHERE, *before, slide_name)
    done = sac("segment", *args, cwd=tmp_path).went_well()
    assert done.json["nuclei"] > 20
    assert (tmp_path / out).is_file()
    verified = sac("verify", "--json", *before, out, cwd=tmp_path).went_well()
    assert verified.json["ok"]
    assert sac("segment", *args, cwd=tmp_path).went_well().json["reused"]


@pytest.mark.parametrize("name", ["x\n" * 20 + ".tiff", "\x1b[2J.tiff"])
def test_odd_names_in_errors_stay_on_one_line(sac, tmp_path, name):
    refused = sac("segment", name, "--out", "n.geojson", cwd=tmp_path)
    refused.refused("does not exist")
    assert "\x1b" not in refused.err


@pytest.mark.parametrize("out", ["y" * 247 + ".geojson", "y" * 300 + ".geojson"])
def test_a_name_too_long_for_its_store_is_refused(sac, slide, tmp_path, out):
    sac("segment", slide, "--out", out, *EVERYWHERE, cwd=tmp_path).refused("too long")
    assert [p.name for p in tmp_path.iterdir()] == [slide.name]


def test_names_that_look_the_same_stay_separate(sac, good, expected, tmp_path):
    """Composed and decomposed, upper and lower case: four names, four stores."""
    stems = [NFC, NFD, NFC.upper(), NFC.lower()]
    for stem in stems:
        sac("segment", good, "--out", f"{stem}.geojson", *EVERYWHERE, cwd=tmp_path).went_well()
    assert len(list(tmp_path.glob("*.zarr"))) == len(stems)
    for stem in stems:
        assert len(Run.open(tmp_path / f"{stem}.geojson").nuclei) == len(expected.nuclei)


def test_same_stem_is_refused_not_mixed(sac, good, tmp_path):
    """The stores of a.svs and a.tiff would both be a.zarr."""
    other = SyntheticSlide(seed=99, shape_yx=(300, 300)).write_tiff(tmp_path / "b.tiff")
    sac("segment", good, "--out", "a.geojson", *EVERYWHERE, cwd=tmp_path).went_well()
    before = (tmp_path / "a.geojson").read_bytes()
    sac("segment", other, "--out", "a.geojson", *EVERYWHERE, cwd=tmp_path).refused("a.geojson", "--overwrite")
    sac("segment", other, "--out", "a.zip", *EVERYWHERE, cwd=tmp_path).refused("a.zarr", "fingerprint")
    assert (tmp_path / "a.geojson").read_bytes() == before
    assert not (tmp_path / "a.zip").exists()


# ---- outputs ----


@pytest.mark.parametrize("out", ["n.csv", "n", "n.GEOJSON", ".geojson", "n.zarr.zip.bak", "n.geojson "])
def test_an_unknown_ending_is_refused(sac, slide, tmp_path, out):
    sac("segment", slide, "--out", out, cwd=tmp_path).refused("ending", ".geojson")
    assert [p.name for p in tmp_path.iterdir()] == [slide.name]


@pytest.mark.parametrize("content", [b"", b"mine", b'{"type":"FeatureCollection","features":[]}'])
@pytest.mark.parametrize("form", FORMS)
def test_an_output_that_exists_is_not_touched(sac, slide, tmp_path, form, content):
    out = tmp_path / f"n{form}"
    out.write_bytes(content)
    sac("segment", slide, "--out", out, *EVERYWHERE, cwd=tmp_path).refused(f"n{form}", "not replaced")
    assert out.read_bytes() == content
    assert not (tmp_path / "n.zarr").exists()


def test_the_slide_is_not_overwritten(sac, slide, tmp_path):
    """`segment a.tiff --out a.tiff` would replace the slide by a label image."""
    before = slide.read_bytes()
    sac("segment", slide, "--out", slide, *EVERYWHERE, cwd=tmp_path).refused("a.tiff")
    sac("segment", slide, "--out", slide, "--overwrite", *EVERYWHERE, cwd=tmp_path).refused("a.tiff")
    assert slide.read_bytes() == before


@pytest.mark.parametrize("target", ["victim", "nowhere"])
@pytest.mark.parametrize("planted", ["n.geojson", "n.zarr", "n.zarr.partial"])
def test_nothing_is_written_through_links(sac, slide, tmp_path, planted, target):
    """40: in a folder where others can write, somebody may have placed a link with the name of the output."""
    outside = tmp_path / "outside"
    outside.mkdir()
    work = tmp_path / "work"
    work.mkdir()
    victim = outside / "victim"
    if planted == "n.geojson":
        victim.write_text("keep")
    else:
        victim.mkdir()
        (victim / "keep").write_text("keep")
    (work / planted).symlink_to(outside / target)
    for more in ((), ("--overwrite",)):
        args = ("segment", slide, "--out", "n.geojson", *EVERYWHERE, *more)
        sac(*args, cwd=work).refused("link")
    assert sorted(p.relative_to(outside).as_posix() for p in outside.rglob("*")) in (
        ["victim"],
        ["victim", "victim/keep"],
    )
    assert [p.name for p in work.iterdir()] == [planted]


@pytest.mark.parametrize("form", [".geojson", ".tif"])
def test_export_does_not_follow_links(sac, expected, tmp_path, form):
    (tmp_path / "victim").write_text("keep")
    (tmp_path / f"e{form}").symlink_to("victim")
    sac("export", expected.store, "--out", f"e{form}", "--overwrite", cwd=tmp_path).refused("link")
    assert (tmp_path / "victim").read_text() == "keep"


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_an_output_that_is_not_a_file(sac, slide, tmp_path, kind):
    out = tmp_path / "n.geojson"
    out.mkdir() if kind == "folder" else os.mkfifo(out)
    sac("segment", slide, "--out", out, *EVERYWHERE, cwd=tmp_path).refused("n.geojson")
    sac("segment", slide, "--out", out, "--overwrite", *EVERYWHERE, cwd=tmp_path).refused("n.geojson")


@pytest.mark.parametrize("content", ["file", "folder"])
def test_a_store_that_is_not_ours_stays(sac, slide, tmp_path, content):
    store = tmp_path / "n.zarr"
    if content == "file":
        store.write_text("mine")
    else:
        store.mkdir()
        (store / "mine").write_text("mine")
    done = sac("segment", slide, "--out", "n.geojson", *EVERYWHERE, cwd=tmp_path)
    done.refused("n.zarr", code=done.code)
    assert done.code in (1, 2)
    assert (store if content == "file" else store / "mine").read_text() == "mine"


# ---- patients ----


@pytest.fixture
def patient_slide(good, tmp_path):
    """A slide with a name in 20 places where scanners and people write names."""
    words = [f"CANARY{i:02d}" for i in range(20)]
    properties = [
        "MPP = 0.25",
        "AppMag = 40",
        f"Patient = {words[0]}",
        f"Filename = {words[1]}",
        f"Title = {words[2]}",
        f"User = {words[3]}",
        f"Barcode = {words[4]}",
        f"ImageID = {words[5]}",
        f"ScanScope ID = {words[6]}",
        f"{words[7]} = 1",
        f"Date = {words[8]}",
        f"OriginalWidth = {words[9]}",
    ]
    tags = [
        (269, "s", 0, f"document {words[10]}", True),
        (271, "s", 0, f"make {words[11]}", True),
        (272, "s", 0, f"model {words[12]}", True),
        (285, "s", 0, f"page {words[13]}", True),
        (315, "s", 0, f"artist {words[14]}", True),
        (316, "s", 0, f"computer {words[15]}", True),
        (33432, "s", 0, f"copyright {words[16]}", True),
        (700, "B", None, f"<x:xmpmeta>{words[17]}</x:xmpmeta>".encode(), True),
    ]
    pages = (f"{APERIO}|thumbnail", f"Aperio\nlabel {words[18]} 60x50", f"Aperio\nmacro {words[19]} 60x50")
    slide = as_svs(good, tmp_path / "p.svs", *properties, pages=pages, extratags=tags, software="CANARY")
    with openslide.OpenSlide(slide) as opened:
        assert opened.properties["aperio.Patient"] == words[0], "the slide must have it"
        assert {"label", "macro"} <= set(opened.associated_images)
    return slide


def everything_in(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file, as they are and unpacked; zarr's attributes are plain JSON."""
    content = {}
    for path in (p for p in folder.rglob("*") if p.is_file()):
        name, data = str(path.relative_to(folder)), path.read_bytes()
        content[name] = data
        if data[:2] == b"\x1f\x8b":
            content[f"{name} unpacked"] = gzip.decompress(data)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for entry in archive.namelist():
                    content[f"{name}/{entry}"] = archive.read(entry)
    return content


@pytest.mark.parametrize("broken", [False, True], ids=["whole", "broken"])
def test_no_patient_data_in_any_output(sac, patient_slide, tmp_path, broken):
    """42: the names are in no output, store, log, error or unfinished run."""
    if broken:
        break_tile(patient_slide, 0)
    work = tmp_path / "work"
    work.mkdir()
    outs = [word for form in FORMS for word in ("--out", f"n{form}")]
    said = []

    def run(*args, **faults):
        done = sac(*args, cwd=work, **faults)
        said.extend([done.out, done.err])
        assert "Traceback" not in done.err
        return done

    killed = ("segment", patient_slide, "--out", "killed.geojson", *TILED)
    assert run(*killed, calls=("replace",), at=12, how="die").code == -9
    assert (work / "killed.zarr.partial").is_dir()
    assert run("segment", patient_slide, *outs, "--json", *TILED).code == int(broken)
    run("info", patient_slide)
    run("info", patient_slide, "--json").went_well()
    run("export", "n.geojson", "--out", "e.zip", "--out", "e.tif").went_well()
    run("verify", "n.geojson", "--json").went_well()
    run("overlay", "n.geojson", "--out", "density.png")
    run("overlay", "n.geojson", "--out", "region.png", "--region", "0,0,300,300")
    run("segment", patient_slide, *outs, *TILED, "--set", "grid.tile_px=300")
    run("segment", patient_slide, "--out", "x.geojson", "--mpp", "99")
    no_mpp = as_svs(patient_slide, work / "q.svs", "MPP = CANARY", "Patient = CANARY") if not broken else None
    if no_mpp:
        run("segment", no_mpp, "--out", "x.geojson").refused("microns per pixel")
        no_mpp.unlink()
    content = {**everything_in(work), "streams": "\n".join(said).encode()}
    assert len(content) > 50
    assert not [name for name, data in content.items() if b"CANARY" in data]
    assert not [name for name in content if "CANARY" in name]


# ---- code in data ----


@pytest.mark.parametrize("ending", ["yaml", "set"])
def test_yaml_with_code_is_refused_and_not_run(sac, slide, tmp_path, ending):
    bomb = f"!!python/object/apply:os.system ['touch {tmp_path}/pwned']"
    (tmp_path / "c.yaml").write_text(f"model: {bomb}\n")
    more = ("--config", "c.yaml") if ending == "yaml" else ("--set", f"model={bomb}")
    sac("segment", slide, "--out", "n.geojson", *more, cwd=tmp_path).refused("YAML")
    assert not (tmp_path / "pwned").exists()
    assert not (tmp_path / "n.zarr.partial").exists()


def test_a_store_with_a_pickle_codec_is_refused(sac, expected, tmp_path):
    """45: zarr v2 had one, which could run code."""
    store = tmp_path / "n.zarr"
    shutil.copytree(expected.store, store)
    meta = store / "nuclei" / "id" / "zarr.json"
    described = json.loads(meta.read_text())
    described["codecs"] = [{"name": "numcodecs.pickle", "configuration": {"protocol": 4}}]
    meta.write_text(json.dumps(described))
    for command in (("verify", "n.zarr"), ("export", "n.zarr", "--out", "e.geojson")):
        sac(*command, cwd=tmp_path).refused("n.zarr", code=1)
