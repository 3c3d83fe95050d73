"""One image, what is there, what was found, and how good that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sac_wsi.evaluate.metrics import ImageScores


@dataclass(frozen=True)
class JudgedImage:
    """rgb (h, w, 3), and the label maps (h, w) of what is there and of what was found."""

    rgb: NDArray[np.uint8]
    truth: NDArray[np.integer]
    found: NDArray[np.integer]
    scores: ImageScores

    @property
    def name(self) -> str:
        return self.scores.name
