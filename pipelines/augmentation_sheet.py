"""Draw what each augmentation does to the crops of a training, for a person to judge.

    python pipelines/augmentation_sheet.py train.zip sheet.png --config configs/train/sac_tiny_prompter.yaml

A row for each augmentation of the config alone, one for each artefact, and one for all together; the columns
are the same crops in every row. Outlines are the labels.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.segmentation import find_boundaries

from sac_wsi.errors import SacWsiError
from sac_wsi.settings.read import read_settings
from sac_wsi.settings.typed import build
from sac_wsi.train.artefacts import ARTEFACTS
from sac_wsi.train.augment import NONE, AugmentSettings, random_crop
from sac_wsi.train.config import DataSettings, TrainConfig
from sac_wsi.train.source import open_source

if TYPE_CHECKING:
    from sac_wsi.datasets.images import LabelledImage

Rgb = NDArray[np.uint8]
Labels = NDArray[np.int32]
_ALONE = ("scale", "elastic_px", "stain", "density", "hue", "colour", "blur_px", "jpeg", "noise", "strands")
_SURE = ("jpeg", "strands", "artefacts")
"""Probabilities: in a row of their own they are 1."""
_OUTLINE = (255, 220, 0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pack", type=Path, help="an archive made by pipelines/pack_training.py")
    parser.add_argument("out", type=Path, help="the picture, a .png")
    parser.add_argument("--config", type=Path, help="training config whose strengths are drawn")
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--crop-px", type=int, default=192)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--overwrite", action="store_true", help="replace a picture that exists")
    options = parser.parse_args()
    if options.out.exists() and not options.overwrite:
        sys.exit(f"{options.out} exists. Pass --overwrite to replace it, or give another name.")
    try:
        settings = AugmentSettings()
        if options.config:
            settings = build(TrainConfig, read_settings(options.config, [])).augment
        images = _images(options.pack, options.columns, options.seed)
        sheet(images, settings, options.crop_px, options.seed).save(options.out)
    except SacWsiError as error:
        sys.exit(f"error: {error}")


def _images(pack: Path, count: int, seed: int) -> list[LabelledImage]:
    data = DataSettings(kind="pack", images=str(pack), nucleus_um=7.0, val_share=0)
    images = open_source(data, 0.25, 512).part("train")
    chosen = np.random.default_rng(seed).choice(len(images), count, replace=len(images) < count)
    return [images.read(int(index)) for index in chosen]


def sheet(images: list[LabelledImage], settings: AugmentSettings, crop_px: int, seed: int) -> Image.Image:
    """Return the picture: a row for each augmentation, a column for each image."""
    rows: dict[str, list[Rgb]] = {"none": [_crop(image, NONE, crop_px, seed) for image in images]}
    for name in _ALONE:
        if strength := getattr(settings, name):
            alone = replace(NONE, **{name: 1.0 if name in _SURE else strength})
            rows[f"{name} {strength:g}"] = [_crop(image, alone, crop_px, seed) for image in images]
    for name in ARTEFACTS:
        rows[name] = [_crop(image, NONE, crop_px, seed, name) for image in images]
    rows["all"] = [_crop(image, settings, crop_px, seed + i) for i, image in enumerate(images)]
    return _drawn(rows, crop_px)


def _crop(
    image: LabelledImage, settings: AugmentSettings, crop_px: int, seed: int, artefact: str = ""
) -> Rgb:
    rng = np.random.default_rng(seed)
    rgb, labels = random_crop(
        image.rgb, image.labels, crop_px, settings, rng, image.zoom, image.label_offset_yx
    )
    if artefact:
        changed, labels = ARTEFACTS[artefact](rgb.astype(np.float32), labels, rng)
        rgb = np.clip(np.rint(changed), 0, 255).astype(np.uint8)
    rgb = rgb.copy()
    rgb[find_boundaries(labels, mode="inner")] = _OUTLINE
    return rgb


def _drawn(rows: dict[str, list[Rgb]], crop_px: int) -> Image.Image:
    margin, gap = 110, 4
    columns = len(next(iter(rows.values())))
    step = crop_px + gap
    picture = Image.new("RGB", (margin + columns * step, len(rows) * step), "white")
    draw = ImageDraw.Draw(picture)
    for row, (name, crops) in enumerate(rows.items()):
        draw.text((4, row * step + crop_px // 2), name, fill="black")
        for column, crop in enumerate(crops):
            picture.paste(Image.fromarray(crop), (margin + column * step, row * step))
    return picture


if __name__ == "__main__":
    main()
