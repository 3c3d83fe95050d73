"""Nuclei as columns, against plain lists."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sac_wsi.nuclei.columns import Nuclei, concat, take_ragged
from sac_wsi.nuclei.masks import nuclei_from_masks

PIECES = st.lists(
    st.tuples(
        st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
        arrays(np.bool_, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.just(True)),
    ),
    max_size=6,
)


def rows(nuclei):
    return [
        (*nuclei.box[i].tolist(), int(nuclei.area_px[i]), nuclei.mask(i).tolist()) for i in range(len(nuclei))
    ]


@given(PIECES, st.data())
def test_take_selects_rows_by_position_or_by_a_boolean_mask(pieces, data):
    nuclei = nuclei_from_masks(pieces)
    index = data.draw(st.lists(st.sampled_from(range(len(nuclei))), max_size=8) if pieces else st.just([]))
    assert rows(nuclei.take(np.array(index, np.int64))) == [rows(nuclei)[i] for i in index]
    chosen = data.draw(arrays(np.bool_, len(nuclei)))
    assert rows(nuclei.take(chosen)) == [row for row, kept in zip(rows(nuclei), chosen, strict=True) if kept]


@given(st.lists(PIECES, max_size=3))
def test_concat_keeps_all_in_order(parts):
    nuclei = [nuclei_from_masks(part) for part in parts]
    assert rows(concat(nuclei)) == [row for part in nuclei for row in rows(part)]


def test_no_nuclei_have_all_columns_with_their_types():
    empty = Nuclei.empty()
    assert len(empty) == 0
    assert empty.box.shape == (0, 4)
    assert empty.mask_start.tolist() == [0]
    again = Nuclei.from_columns(empty.columns())
    assert {n: c.dtype for n, c in again.columns().items()} == {
        n: c.dtype for n, c in empty.columns().items()
    }


def test_columns_take_their_own_types():
    nuclei = nuclei_from_masks([((0, 0), np.ones((2, 2), bool))]).replace(score=np.array([1]))
    assert nuclei.score.dtype == np.float32


@given(st.lists(st.lists(st.integers(0, 255), max_size=4), min_size=1, max_size=5), st.data())
def test_rows_of_a_ragged_column(values, data):
    start = np.concatenate([[0], np.cumsum([len(v) for v in values])]).astype(np.int64)
    flat = np.array([x for v in values for x in v], np.uint8)
    index = data.draw(st.lists(st.integers(0, len(values) - 1), max_size=6))
    new_start, new_flat = take_ragged(start, flat, np.array(index, np.int64))
    taken = [new_flat[a:b].tolist() for a, b in pairwise(new_start)]
    assert taken == [values[i] for i in index]
