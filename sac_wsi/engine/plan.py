"""What a run will do, settled before any work: everything that can be wrong with the request shows here."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sac_wsi import __version__
from sac_wsi.classical.segmenter import ClassicalSegmenter
from sac_wsi.engine.config import CLASSICAL, SegmentConfig
from sac_wsi.errors import ConfigError
from sac_wsi.slide.frame import Frame, frame_for
from sac_wsi.slide.open import open_slide
from sac_wsi.slide.protocol import SlideInfo
from sac_wsi.slide.resolution.mpp import require_mpp
from sac_wsi.slide.thumbnail import thumbnail
from sac_wsi.store.label_pyramid import LabelFrame, label_frame
from sac_wsi.tiling.grid import Grid, GridSettings, make_grid
from sac_wsi.tiling.segmenter import ModelSegmenter, Segmenter
from sac_wsi.tissue.find import TissueMask, find_tissue, no_tissue_test
from sac_wsi.tissue.points import points_from_geojson
from sac_wsi.tissue.region import tissue_from_geojson

TISSUE_PX = 2_000_000
"""Of the thumbnail: on slides over 128 mm² it gets coarser than asked, so that memory stays flat."""


@dataclass(frozen=True)
class Plan:
    """One slide, one model, one way of cutting.

    mpp           micrometres per level-0 pixel; ``mpp_given`` only where the user said so
    tissue_from   "auto", "none", or the path of a GeoJSON file
    """

    slide: Path
    info: SlideInfo
    mpp: float
    mpp_given: float | None
    config: SegmentConfig
    segmenter: Segmenter
    frame: Frame
    grid: Grid
    tissue_from: str

    @property
    def labels(self) -> LabelFrame:
        return label_frame(
            self.info.shape_yx, self.mpp, self.frame.shape_yx, self.frame.mpp, self.frame.downsample
        )

    @property
    def area_mm2(self) -> float:
        height, width = self.info.shape_yx
        return height * width * self.mpp**2 / 1e6

    def manifest(self) -> dict[str, Any]:
        """What must be the same for two runs to be one; how the work was cut is no part of it."""
        config = self.config.to_json()
        del config["grid"]["block_tiles"], config["batch_tiles"]
        config["tissue"] = _region_by_content(self.tissue_from)
        for name in ("points", "model", "sam_checkpoint", "device", "precision"):
            del config[name]  # they count by content, or by what they came to, in the model's fingerprint
        return {
            "version": __version__,
            "slide": {"fingerprint": self.info.fingerprint, "mpp": self.mpp},
            "model": {"name": self.segmenter.name, "fingerprint": self.segmenter.fingerprint},
            "config": config,
        }


def make_plan(
    path: Path, config: SegmentConfig, *, mpp: float | None = None, segmenter: Segmenter | None = None
) -> Plan:
    with open_slide(path, mpp=mpp) as slide:
        info = slide.info
    slide_mpp = require_mpp(info)
    segmenter = segmenter or make_segmenter(config)  # after what is wrong at once: it may bring torch
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
        mpp=slide_mpp,
        mpp_given=mpp,
        config=config,
        segmenter=segmenter,
        frame=frame,
        grid=make_grid(frame.shape_yx, frame.mpp, config.grid),
        tissue_from=tissue_from,
    )


def make_segmenter(config: SegmentConfig) -> Segmenter:
    """The model that the config names."""
    if config.model == CLASSICAL:
        if config.sac or config.sam_checkpoint:
            raise ConfigError("sac.*, --tta and --sam-checkpoint are for checkpoints; --model is classical.")
        return ClassicalSegmenter(config.classical)
    from sac_wsi.model.predict.choose import choose_segmenter  # brings torch

    return choose_segmenter(
        config.model,
        config.sac,
        sam_checkpoint=config.sam_checkpoint,
        device=config.device,
        precision=config.precision,
    )


def _refuse_other_resolution(segmenter: Segmenter, slide_mpp: float) -> None:
    """A model that says what it was trained for is not used on what it never saw."""
    if not isinstance(segmenter, ModelSegmenter):
        return
    low, high = segmenter.mpp_range
    if not low <= slide_mpp <= high:
        raise ConfigError(
            f"The slide has {slide_mpp:.4g} µm per pixel; {segmenter.name} was made for {low:g} to {high:g}. "
            "Pass --model classical, which takes any, or --mpp if the slide's own value is wrong."
        )


def _grid_settings(config: SegmentConfig, segmenter: Segmenter) -> GridSettings:
    """The config's, and the model's own where it says nothing."""
    if not isinstance(segmenter, ModelSegmenter):
        return config.grid.resolved()
    chosen, wanted = config.grid.tile_px, segmenter.tile_px
    if chosen and chosen > wanted:
        raise ConfigError(
            f"grid.tile_px is {chosen}; {segmenter.name} takes tiles of {wanted}: leave it out, or choose at "
            f"most {wanted}."
        )
    return config.grid.resolved(wanted, segmenter.halo_um)


def _with_points(segmenter: Segmenter, path: Path, info: SlideInfo, frame: Frame) -> Segmenter:
    points = points_from_geojson(path, info.shape_yx)
    if not isinstance(segmenter, ModelSegmenter):
        raise ConfigError(f"{segmenter.name} takes no points: leave out --points, or choose a checkpoint.")
    pixels = np.floor(points.yx_level0 / frame.downsample).astype(np.int32)
    # the frame holds whole pixels only: at its far edges it may end a little before the slide
    inside = np.minimum(pixels, np.array(frame.shape_yx, np.int32) - 1)
    return segmenter.with_points(inside, points.positive)


def tissue_of(plan: Plan) -> TissueMask:
    """Where to look."""
    if plan.tissue_from == "none":
        return no_tissue_test(plan.info.shape_yx)
    if plan.tissue_from != "auto":
        return tissue_from_geojson(Path(plan.tissue_from), plan.info.shape_yx)
    settings = plan.config.find_tissue
    um_per_px = max(settings.um_per_px, 1000 * math.sqrt(plan.area_mm2 / TISSUE_PX))
    with open_slide(plan.slide, mpp=plan.mpp_given) as slide:
        rgb, downsample = thumbnail(slide, um_per_px)
    return find_tissue(rgb, downsample, replace(settings, um_per_px=downsample * plan.mpp))


def _region_by_content(tissue_from: str) -> str:
    """A region counts by what it holds, not by where it lies."""
    if tissue_from in ("none", "auto"):
        return tissue_from
    return "sha256:" + hashlib.sha256(Path(tissue_from).read_bytes()).hexdigest()
