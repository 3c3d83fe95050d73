"""The report of a training run: one HTML file that needs no network, script or other file.

``curves_of`` reads the log, ``write_report`` writes the page; ``chart`` and ``pictures`` make its parts.
"""

from sac_wsi.train.report.curves import Curve, curves_of
from sac_wsi.train.report.page import write_report
from sac_wsi.train.report.pictures import best_and_worst

__all__ = ["Curve", "best_and_worst", "curves_of", "write_report"]
