"""Public tools to test your own segmenter or slide software without a real slide.

=====================  ====================================================================================
``SyntheticSlide``     A synthetic H&E slide of any size; all of its nuclei are known exactly.
``OracleSegmenter``    A ``Segmenter`` that returns the true nuclei, with ``jitter_px`` as a model would.
``NothingSegmenter``   A ``Segmenter`` that finds no nuclei, to measure everything else.
``truncate``           Cut a file short, as an interrupted copy does.
``break_tile``         Damage one tile of a TIFF file.
=====================  ====================================================================================

Example: write a synthetic slide, segment it with your model, and compare with the truth::

    slide = SyntheticSlide(seed=1, shape_yx=(2048, 2048))
    slide.write_tiff("slide.tiff")
    run = segment_slide("slide.tiff", "nuclei.zarr", segmenter=MySegmenter())
    print(len(run.nuclei), "found,", slide.truth_count(), "true")
"""

from sac_wsi.testing.corrupt import break_tile, truncate
from sac_wsi.testing.oracle import NothingSegmenter, OracleSegmenter
from sac_wsi.testing.slide import SyntheticSlide

__all__ = ["NothingSegmenter", "OracleSegmenter", "SyntheticSlide", "break_tile", "truncate"]
