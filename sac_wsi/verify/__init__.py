"""Check the result of a run: table, polygons, labels and exported files.

``check_run`` opens the files. The other checks get rows, features and labels; each reads its batches once, in
bounded memory, and returns ``Findings``.
"""

from sac_wsi.verify.features import check_features
from sac_wsi.verify.findings import Findings, Problem
from sac_wsi.verify.labels import check_labels
from sac_wsi.verify.overlaps import check_overlaps
from sac_wsi.verify.rows import check_rows

__all__ = ["Findings", "Problem", "check_features", "check_labels", "check_overlaps", "check_rows"]
