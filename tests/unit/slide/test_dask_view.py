"""Levels as Dask arrays."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sac_wsi.geometry import Box
from sac_wsi.slide.dask_view import _chunk_lengths, level_array
from sac_wsi.slide.open import open_slide

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", "processes"])
def test_it_equals_read_level(make_slide: Callable[..., Path], scheduler: str) -> None:
    path = make_slide(shape=(1500, 2100), shrink=(1, 2))
    for level in (0, 1):
        array = level_array(path, level)
        with open_slide(path) as slide:
            expected = slide.read_level(level, Box.of_shape(slide.info.levels[level].shape_yx))
        assert (array.shape, array.dtype) == (expected.shape, np.uint8)
        np.testing.assert_array_equal(array.compute(scheduler=scheduler, num_workers=2), expected)


def test_tasks_are_named_by_content_and_pickle(make_slide: Callable[..., Path]) -> None:
    array = level_array(make_slide("patient-name.tiff"), 0)
    assert "patient" not in str(list(array.dask.keys()))
    assert pickle.loads(pickle.dumps(array)).shape == array.shape  # noqa: S301 our own bytes


@pytest.mark.parametrize(
    ("tile", "chunk"), [(256, 1024), (240, 1200), (1024, 1024), (2048, 2048), (8192, 1024), (1, 1024)]
)
def test_chunks_are_whole_tiles_of_about_a_thousand(tile: int, chunk: int) -> None:
    lengths = _chunk_lengths(10_000, tile)
    assert lengths[0] == chunk
    assert sum(lengths) == 10_000
