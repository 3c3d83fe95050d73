"""Segment an image that is in memory, with the same steps as a slide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sac_wsi.engine.segment import segment_slide
from sac_wsi.errors import DataError

if TYPE_CHECKING:
    from sac_wsi.engine.config import SegmentConfig
    from sac_wsi.tiling.segmenter import Segmenter


@dataclass(frozen=True)
class SegmentedImage:
    """The nuclei of an image.

    Attributes:
        labels: (h, w) uint32; 0 is background, any other number the id of a nucleus.
        nuclei: The columns of ``Run.nuclei`` by name; row i is the nucleus with id i + 1.
        polygons: For each nucleus its open ring, (V, 2) x, y in pixels of the image.
        warnings: What the user should know.
    """

    labels: NDArray[np.uint32]
    nuclei: Mapping[str, NDArray[Any]]
    polygons: tuple[NDArray[np.float64], ...]
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.polygons)


def segment_image(
    rgb: NDArray[np.uint8],
    *,
    mpp: float,
    config: SegmentConfig | None = None,
    segmenter: Segmenter | None = None,
) -> SegmentedImage:
    """Find the nuclei of an image that is in memory; nothing is left on disk.

    Args:
        rgb: The image (h, w, 3).
        mpp: Micrometres per pixel.
        config: Settings; the defaults if None. Tissue is not looked for unless they say so.
        segmenter: Used instead of the model that the config names.

    Raises:
        DataError: The array is not an image of that kind.
    """
    rgb = np.asarray(rgb)
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
        raise DataError(f"The image is {rgb.shape} {rgb.dtype}; needed (height, width, 3) uint8.")
    with TemporaryDirectory(prefix="sac-wsi-") as folder:
        path = Path(folder, "image.png")
        Image.fromarray(rgb).save(path, compress_level=1)
        run = segment_slide(path, path.with_suffix(".zarr"), config=config, mpp=mpp, segmenter=segmenter)
        rows = list(run.nuclei.batches())
        order = np.argsort(run.nuclei["id"])
        polygons = [part.polygon_px(i) for part in rows for i in range(len(part))]
        assert run.summary is not None
        return SegmentedImage(
            _at_full_size(np.asarray(run.labels()), rgb.shape[:2]),
            {name: run.nuclei[name][order] for name in run.nuclei.columns},
            tuple(polygons[i] for i in order),
            run.summary.warnings,
        )


def _at_full_size(labels: NDArray[np.uint32], shape_yx: tuple[int, ...]) -> NDArray[np.uint32]:
    """Return labels as large as the image; those of an image finer than 0.2 µm per pixel are coarser."""
    if labels.shape == shape_yx:
        return labels
    y, x = (
        np.minimum((np.arange(side) + 0.5) * (held / side), held - 1).astype(np.intp)
        for side, held in zip(shape_yx, labels.shape, strict=True)
    )
    return labels[np.ix_(y, x)]
