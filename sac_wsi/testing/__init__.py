"""For tests of slide software: slides with known nuclei, segmenters that know them, broken files."""

from sac_wsi.testing.corrupt import break_tile, truncate
from sac_wsi.testing.oracle import NothingSegmenter, OracleSegmenter
from sac_wsi.testing.slide import SyntheticSlide

__all__ = ["NothingSegmenter", "OracleSegmenter", "SyntheticSlide", "break_tile", "truncate"]
