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
    return np.where(hidden | _lost(labels, hidden), 0, labels).astype(np.int32)


def keep_whole(labels: NDArray[np.int32], hidden: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the labels whole, without nuclei of which too little is visible.

    For narrow things: a person draws one outline around a nucleus that a fibre crosses, not two around its
    parts.
    """
    return np.where(_lost(labels, hidden), 0, labels).astype(np.int32)


def _lost(labels: NDArray[np.int32], hidden: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return by pixel whether too little of its label is visible."""
    # by rank: a label can be any number, and an array as long as the largest one can be 16 GB
    _, rank = np.unique(labels, return_inverse=True)
    rank = rank.reshape(labels.shape)
    area_px = np.bincount(rank.ravel())
    shown_px = np.bincount(rank[~hidden], minlength=len(area_px))
    return np.asarray((shown_px < _LEAST_SHOWN * area_px)[rank])
