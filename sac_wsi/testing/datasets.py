"""Write small synthetic data sets in the layouts of the public ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SQUARE = [(11, 21), (19, 21), (19, 29), (11, 29)]
"""A polygon as x, y, as in a MoNuSeg annotation."""


def picture(seed: int, shape_yx: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Return a random smooth RGB image."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(90, 230, (6, 8, 3), np.uint8)
    large = Image.fromarray(coarse).resize(shape_yx[::-1], Image.Resampling.BICUBIC)
    return np.array(large)


def two_squares(shape_yx: tuple[int, int] = (48, 64), ids: tuple[int, int] = (1, 2)) -> np.ndarray:
    """Return a label map with two squares that have the given ids."""
    labels = np.zeros(shape_yx, np.int32)
    labels[4:12, 4:12] = ids[0]
    labels[20:34, 30:40] = ids[1]
    return labels


def save(path: Path, array: np.ndarray) -> None:
    """Save an image and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def aperio(polygons: Sequence[Sequence[tuple[float, float]]], head: str = "", region: str = "") -> str:
    """Return an Aperio XML annotation that begins with ``head``; ``region`` holds attributes of regions."""
    regions = "".join(
        f'<Region Id="{i}" Type="0" {region}><Vertices>'
        + "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in polygon)
        + "</Vertices></Region>"
        for i, polygon in enumerate(polygons, 1)
    )
    return (
        f'{head}<Annotations MicronsPerPixel="0.2520"><Annotation><Regions>{regions}</Regions></Annotation>'
        "</Annotations>"
    )


def make_folders(root: Path, names: Sequence[str]) -> tuple[Path, Path]:
    """Write images and label maps in two folders; return the folders."""
    for seed, name in enumerate(names):
        save(root / "images" / f"{name}.png", picture(seed))
        save(root / "labels" / f"{name}.png", two_squares().astype(np.uint16))
    return root / "images", root / "labels"


def make_dsb(root: Path, names: Sequence[str]) -> Path:
    """Write the layout of the Data Science Bowl 2018: one mask file per nucleus."""
    for seed, name in enumerate(names):
        save(root / name / "images" / f"{name}.png", picture(seed))
        for number in (1, 2):
            save(root / name / "masks" / f"m{number}.png", np.uint8(255) * (two_squares() == number))
    return root


def make_glas(root: Path, names: Sequence[str] = ("train_1", "train_2", "testA_1")) -> Path:
    """Write the layout of the GlaS challenge."""
    for seed, name in enumerate(names):
        save(root / f"{name}.bmp", picture(seed))
        save(root / f"{name}_anno.bmp", two_squares().astype(np.uint8))
    return root
