"""Is what was written what it should be? Checks over rows, features and labels; nothing here knows a file.

Each check answers with ``Findings``. All of them read batches once, in bounded memory.
"""

from sac_wsi.verify.features import check_features
from sac_wsi.verify.findings import Findings, Problem
from sac_wsi.verify.labels import check_labels
from sac_wsi.verify.overlaps import check_overlaps
from sac_wsi.verify.rows import check_rows

__all__ = ["Findings", "Problem", "check_features", "check_labels", "check_overlaps", "check_rows"]
