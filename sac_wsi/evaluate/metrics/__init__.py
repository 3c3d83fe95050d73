"""Measures of how well predicted label maps agree with true ones: per pixel, per nucleus and per gland.

All measures except the Hausdorff distance are computed from one ``Overlap``: the objects of both maps, their
areas, and the number of pixels that each pair shares. These rules hold for every measure:

* Ids are used as they are. They may have gaps. All pixels of one id are one object, connected or not.
* Both maps empty: 1 (distance 0). One map empty: 0 (no distance). No match: sq is 0.
* Of two equally good partners, the one with the lower id is chosen, as in the original programs.

``tests/unit/evaluate/metrics/test_against_cellseg_metrics.py`` compares them with another implementation.
"""

from sac_wsi.evaluate.metrics.bootstrap import Interval
from sac_wsi.evaluate.metrics.overlap import LabelMap
from sac_wsi.evaluate.metrics.report import (
    MEASURES,
    OBJECT_MEASURES,
    ImageScores,
    Scores,
    score_image,
    score_missing,
    summarise,
)

__all__ = [
    "MEASURES",
    "OBJECT_MEASURES",
    "ImageScores",
    "Interval",
    "LabelMap",
    "Scores",
    "score_image",
    "score_missing",
    "summarise",
]
