"""Plan a run before any work: errors in the request are found here."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sac_wsi import __version__
from sac_wsi.classical.segmenter import ClassicalSegmenter
from sac_wsi.datasets.image_type import image_type_of
from sac_wsi.engine.config import CLASSICAL, SegmentConfig
from sac_wsi.engine.read import SlideSource
from sac_wsi.errors import ConfigError, ReadError, SlideError
from sac_wsi.slide.frame import Frame, frame_for
from sac_wsi.slide.open import open_slide
from sac_wsi.slide.protocol import Rgb, SlideInfo, safe_name
from sac_wsi.slide.resolution.mpp import require_mpp
from sac_wsi.slide.thumbnail import thumbnail
from sac_wsi.slide.tiff.missing_tiles import missing_tiles
from sac_wsi.store.label_pyramid import LabelFrame, label_frame
from sac_wsi.tiling.grid import Grid, GridSettings, make_grid
from sac_wsi.tiling.segmenter import ModelSegmenter, Segmenter
from sac_wsi.tissue.find import TissueMask, find_tissue, whole_slide
from sac_wsi.tissue.points import points_from_geojson
from sac_wsi.tissue.region import tissue_from_geojson

_GROUND_UM_PER_PX, _GROUND_PX, _LARGE_PX = 4.0, 250_000, 50_000_000
_BRIGHT, _LEAST_BRIGHT_SHARE, _LEAST_SIGNAL = 120, 0.005, 25
TISSUE_PX = 2_000_000
"""Most pixels of the thumbnail in which tissue is looked for: for slides over 128 mm² it is coarser than the
settings ask, so that memory stays flat."""


@dataclass(frozen=True)
class Plan:
    """One slide, one model, one grid of tiles.

    Attributes:
        slide: The slide's file or folder.
        info: What the slide's file states: size, levels, resolution.
        slide_mpp: Micrometres per level-0 pixel that the run uses.
        mpp_override: The same, if the user gave it; None if it is the slide's own.
        config: The settings, with the model's own tile size and halo filled in.
        segmenter: The model.
        frame: The slide at the model's resolution.
        grid: The tiles of the frame.
        tissue_from: "auto", "none", or the path of a GeoJSON file.
    """

    slide: Path
    info: SlideInfo
    slide_mpp: float
    mpp_override: float | None
    config: SegmentConfig
    segmenter: Segmenter
    frame: Frame
    grid: Grid
    tissue_from: str

    @property
    def source(self) -> SlideSource:
        """The slide as the workers open it."""
        return SlideSource(self.slide.absolute(), self.mpp_override, self.info.fingerprint)

    @property
    def inputs(self) -> tuple[Path, ...]:
        """All files and folders that the run reads."""
        config = self.config
        named = (config.points, config.model, config.sam_checkpoint, self.tissue_from)
        return (self.slide, *self.info.files, *(Path(name) for name in named if name))

    @property
    def labels(self) -> LabelFrame:
        """The base level of the label pyramid."""
        return label_frame(self.info.shape_yx, self.slide_mpp, self.frame)

    @property
    def area_mm2(self) -> float:
        """Area of the whole slide."""
        height, width = self.info.shape_yx
        return height * width * self.slide_mpp**2 / 1e6

    def manifest(self) -> dict[str, Any]:
        """Return all that decides the result: a run continues another one if their manifests are equal.

        How the tiles are grouped into blocks and batches does not change the result and is left out.
        """
        config = self.config.to_json()
        del config["grid"]["block_tiles"], config["batch_tiles"]
        config["tissue"] = _region_by_content(self.tissue_from)
        for name in ("points", "model", "sam_checkpoint", "device", "precision"):
            del config[name]  # the model's fingerprint stands for them
        del config["allow_fluorescence"]
        return {
            "version": __version__,
            "slide": {"fingerprint": self.info.fingerprint, "mpp": self.slide_mpp},
            "model": {"name": self.segmenter.name, "fingerprint": self.segmenter.fingerprint},
            "config": config,
        }


def make_plan(
    path: Path, config: SegmentConfig, *, mpp: float | None = None, segmenter: Segmenter | None = None
) -> Plan:
    """Return the plan for one slide.

    Args:
        path: The slide's file or folder.
        config: Settings.
        mpp: Micrometres per level-0 pixel, if the slide's own value is missing or wrong.
        segmenter: Used instead of the model that the config names.

    Raises:
        SacWsiError: The request cannot be met; the message says why.
    """
    with open_slide(path, mpp=mpp) as slide:
        info = slide.info
    if empty := missing_tiles(path, info.vendor):
        note = f"{empty:,} tiles of the file hold no data and are read as white: empty glass, or a bad copy"
        info = replace(info, warnings=(*info.warnings, note))
    slide_mpp = require_mpp(info)
    # after the quick checks: it reads the checkpoint, and may import torch, which is slow
    segmenter = segmenter or make_segmenter(config)
    _refuse_other_resolution(segmenter, slide_mpp)
    config = replace(config, grid=_grid_settings(config, segmenter))
    frame = frame_for(info, segmenter.mpp)
    if config.points:
        segmenter = _with_points(segmenter, Path(config.points), info, frame)
    tissue_from = config.tissue
    if tissue_from == "default":
        tissue_from = "none" if info.reader == "plain" else "auto"
    if tissue_from not in ("none", "auto"):
        tissue_from_geojson(Path(tissue_from), info.shape_yx)
    return Plan(
        slide=path,
        info=info,
        slide_mpp=slide_mpp,
        mpp_override=mpp,
        config=config,
        segmenter=segmenter,
        frame=frame,
        grid=make_grid(frame.shape_yx, frame.mpp, config.grid),
        tissue_from=tissue_from,
    )


def make_segmenter(config: SegmentConfig) -> Segmenter:
    """Return the model that the config names."""
    if config.model == CLASSICAL:
        if config.sac or config.sam_checkpoint:
            raise ConfigError("sac.*, --tta and --sam-checkpoint are for checkpoints; --model is classical.")
        return ClassicalSegmenter(config.classical)
    from sac_wsi.model.predict.choose import choose_segmenter

    return choose_segmenter(
        config.model,
        config.sac,
        sam_checkpoint=config.sam_checkpoint,
        engine=config.engine,
        device=config.device,
        precision=config.precision,
    )


def _refuse_other_resolution(segmenter: Segmenter, slide_mpp: float) -> None:
    """Refuse a slide whose resolution is outside the range that the model was trained for."""
    if not isinstance(segmenter, ModelSegmenter):
        return
    low, high = segmenter.mpp_range
    if not low <= slide_mpp <= high:
        raise ConfigError(
            f"The slide has {slide_mpp:.4g} µm per pixel; {segmenter.name} was made for {low:g} to {high:g}. "
            "Pass --model classical, which takes any, or --mpp if the slide's own value is wrong."
        )


def _grid_settings(config: SegmentConfig, segmenter: Segmenter) -> GridSettings:
    """Return the config's settings, with the model's own values where the config gives none."""
    if not isinstance(segmenter, ModelSegmenter):
        return config.grid.resolved()
    chosen, largest = config.grid.tile_px, segmenter.tile_px
    if chosen and chosen > largest:
        raise ConfigError(
            f"grid.tile_px is {chosen}; {segmenter.name} takes tiles of {largest}: leave it out, or "
            f"choose at most {largest}."
        )
    return config.grid.resolved(largest, segmenter.halo_um)


def _with_points(segmenter: Segmenter, path: Path, info: SlideInfo, frame: Frame) -> Segmenter:
    """Return the model with the user's points, moved from level-0 pixels to pixels of the frame."""
    points = points_from_geojson(path, info.shape_yx)
    if not isinstance(segmenter, ModelSegmenter):
        raise ConfigError(f"{segmenter.name} takes no points: leave out --points, or choose a checkpoint.")
    pixels = np.floor(points.yx_level0 / frame.downsample).astype(np.int32)
    # the frame holds whole pixels only: at its far edges it may end a little before the slide
    inside = np.minimum(pixels, np.array(frame.shape_yx, np.int32) - 1)
    return segmenter.with_points(inside, points.positive)


def tissue_of(plan: Plan) -> TissueMask:
    """Return the mask of the tissue; without a test for tissue, the whole slide.

    Raises:
        SlideError: The slide is dark, like a fluorescence scan.
    """
    if plan.tissue_from != "auto" and not plan.config.allow_fluorescence:
        _refuse_fluorescence(plan, _ground(plan))
    if plan.tissue_from == "none":
        return whole_slide(plan.info.shape_yx)
    if plan.tissue_from != "auto":
        return tissue_from_geojson(Path(plan.tissue_from), plan.info.shape_yx)
    settings = plan.config.find_tissue
    um_per_px = max(settings.um_per_px, 1000 * math.sqrt(plan.area_mm2 / TISSUE_PX))
    with open_slide(plan.slide, mpp=plan.mpp_override) as slide:
        rgb, downsample = thumbnail(slide, um_per_px)
    _refuse_fluorescence(plan, rgb)
    return find_tissue(rgb, downsample, replace(settings, um_per_px=downsample * plan.slide_mpp))


def _ground(plan: Plan) -> Rgb | None:
    """Return a coarse thumbnail, for runs that look for no tissue; None if it is slow or damaged."""
    if plan.info.reader == "plain" and _is_large(plan.info):
        return None
    coarse = max(_GROUND_UM_PER_PX, 1000 * math.sqrt(plan.area_mm2 / _GROUND_PX))
    try:
        with open_slide(plan.slide, mpp=plan.mpp_override) as slide:
            return thumbnail(slide, coarse)[0]
    except ReadError:  # some tiles are damaged: they are reported one by one
        return None


def _refuse_fluorescence(plan: Plan, rgb: Rgb | None) -> None:
    """Raise SlideError if the ground is dark: models and the search for tissue need bright glass."""
    if plan.config.allow_fluorescence or rgb is None:
        return
    # a scan with a black border has bright parts, a fluorescence scan has not
    brightness = rgb.max(axis=2)
    bright = float((rgb.mean(axis=2) > _BRIGHT).mean())
    # plain black is no scan: nothing shines on it
    shines = float(np.quantile(brightness, 0.999)) - float(np.median(brightness)) > _LEAST_SIGNAL
    if image_type_of(rgb) == "fluorescence" and bright < _LEAST_BRIGHT_SHARE and shines:
        raise SlideError(
            f"{safe_name(plan.slide)} is dark, like a fluorescence scan: the models are for stained tissue "
            "on bright glass. Pass --allow-fluorescence to try all the same."
        )


def _is_large(info: SlideInfo) -> bool:
    """Return whether a plain image is so large that it is not decoded once more for this."""
    return info.shape_yx[0] * info.shape_yx[1] > _LARGE_PX


def _region_by_content(tissue_from: str) -> str:
    """Return the hash of a region's file, so that only its content counts, not its path."""
    if tissue_from in ("none", "auto"):
        return tissue_from
    return "sha256:" + hashlib.sha256(Path(tissue_from).read_bytes()).hexdigest()
