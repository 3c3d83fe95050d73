"""How well label maps agree with the truth: per pixel, per nucleus, per gland; pure arithmetic on overlaps.

Everything but the Hausdorff distance follows from one ``Overlap``: which objects there are, how large they
are, and how many pixels each two of them share. Rules that hold for every measure:

* ids are taken as given. They need not be sequential, and an id in two pieces is one object.
* both maps empty: 1 (distance 0). One of them empty: 0 (no distance). Nothing matched: sq is 0.
* where two partners are equally good, the one with the lower id counts, as in the original programs.
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
