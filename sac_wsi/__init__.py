"""sac-wsi: one polygon per nucleus from a whole-slide image.

The public names; each is imported when it is first used, so that `import sac_wsi` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sac_wsi.engine.config import SegmentConfig, load_config
    from sac_wsi.engine.segment import segment_slide
    from sac_wsi.errors import SacWsiError
    from sac_wsi.slide.open import open_slide
    from sac_wsi.store.run import Run, Summary
    from sac_wsi.tiling.segmenter import RgbTile, Segmenter

_HOME = {
    "RgbTile": "sac_wsi.tiling.segmenter",
    "Run": "sac_wsi.store.run",
    "SacWsiError": "sac_wsi.errors",
    "SegmentConfig": "sac_wsi.engine.config",
    "Segmenter": "sac_wsi.tiling.segmenter",
    "Summary": "sac_wsi.store.run",
    "load_config": "sac_wsi.engine.config",
    "open_slide": "sac_wsi.slide.open",
    "segment_slide": "sac_wsi.engine.segment",
}

__all__ = [
    "RgbTile",
    "Run",
    "SacWsiError",
    "SegmentConfig",
    "Segmenter",
    "Summary",
    "load_config",
    "open_slide",
    "segment_slide",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'sac_wsi' has no attribute {name!r}")
