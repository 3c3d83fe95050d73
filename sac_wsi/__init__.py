"""sac-wsi: segment the nuclei of whole-slide images, one polygon per nucleus.

The public names:

======================  =====================================================================================
``segment_slide``       Find the nuclei of a slide and write the outputs; returns a ``Run``.
``segment_image``       Find the nuclei of an image in memory; returns a ``SegmentedImage``.
``SegmentedImage``      Labels, columns and polygons of such an image.
``Run``                 A finished segmentation: its nuclei, its labels, its summary, its exports.
``Summary``             What happened in a run: number of nuclei, tiles, seconds per stage, warnings.
``SegmentConfig``       All settings of a segmentation.
``load_config``         Read the settings from a YAML file and from ``KEY=VALUE`` overrides.
``open_slide``          Open a slide: size, resolution, levels, pixels.
``Segmenter``           The protocol of a model: RGB tiles in, nuclei out. Implement it to use your own model.
``Nuclei``              Nuclei as columns; a ``Segmenter`` returns one for each tile, a ``Run`` has one.
``nuclei_from_labels``  Make the ``Nuclei`` of a tile from its label map.
``RgbTile``             A tile that a ``Segmenter`` receives: its pixels, and its box on the slide.
``SacWsiError``         The base class of all errors that this package raises on purpose.
======================  =====================================================================================

``sac_wsi.testing`` has slides with known nuclei, to test a ``Segmenter``. Each name is imported when it is
first used, so ``import sac_wsi`` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sac_wsi.engine.config import SegmentConfig, load_config
    from sac_wsi.engine.image import SegmentedImage, segment_image
    from sac_wsi.engine.segment import segment_slide
    from sac_wsi.errors import SacWsiError
    from sac_wsi.nuclei.columns import Nuclei
    from sac_wsi.nuclei.masks import nuclei_from_labels
    from sac_wsi.slide.open import open_slide
    from sac_wsi.store.run import Run, Summary
    from sac_wsi.tiling.segmenter import RgbTile, Segmenter

_MODULE_OF = {
    "Nuclei": "sac_wsi.nuclei.columns",
    "RgbTile": "sac_wsi.tiling.segmenter",
    "Run": "sac_wsi.store.run",
    "SacWsiError": "sac_wsi.errors",
    "SegmentConfig": "sac_wsi.engine.config",
    "SegmentedImage": "sac_wsi.engine.image",
    "Segmenter": "sac_wsi.tiling.segmenter",
    "Summary": "sac_wsi.store.run",
    "load_config": "sac_wsi.engine.config",
    "nuclei_from_labels": "sac_wsi.nuclei.masks",
    "open_slide": "sac_wsi.slide.open",
    "segment_image": "sac_wsi.engine.image",
    "segment_slide": "sac_wsi.engine.segment",
}

__all__ = [
    "Nuclei",
    "RgbTile",
    "Run",
    "SacWsiError",
    "SegmentConfig",
    "SegmentedImage",
    "Segmenter",
    "Summary",
    "load_config",
    "nuclei_from_labels",
    "open_slide",
    "segment_image",
    "segment_slide",
]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module 'sac_wsi' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
