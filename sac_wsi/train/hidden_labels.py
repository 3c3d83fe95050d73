"""Adapt labels to what is painted over a crop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_SHOWN = 0.4
"""A nucleus of which less is visible is removed."""


def cut_hidden(labels: NDArray[np.int32], hidden: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the labels without hidden pixels, and without nuclei of which too little is visible.

    For wide things, behind which nothing is known.
    """
    seen = np.where(hidden, 0, labels)
    return np.where(_lost(labels, hidden)[seen], 0, seen).astype(np.int32)


def keep_whole(labels: NDArray[np.int32], hidden: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the labels whole, without nuclei of which too little is visible.

    For narrow things: a person draws one outline around a nucleus that a fibre crosses, not two around its
    parts.
    """
    return np.where(_lost(labels, hidden)[labels], 0, labels).astype(np.int32)


def _lost(labels: NDArray[np.int32], hidden: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return by label whether too little of it is visible."""
    area_px = np.bincount(labels.ravel())
    shown_px = np.bincount(labels[~hidden], minlength=len(area_px))
    return np.asarray(shown_px < _LEAST_SHOWN * area_px)
