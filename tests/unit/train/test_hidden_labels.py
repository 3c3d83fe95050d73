import tracemalloc

import numpy as np

from sac_wsi.train.hidden_labels import cut_hidden, keep_whole

LABELS = np.array([[1, 1, 1, 1, 1, 0, 2, 2]], np.int32)


def test_a_nucleus_that_is_crossed_stays_whole_or_loses_what_is_hidden():
    hidden = np.array([[0, 0, 1, 0, 0, 0, 0, 0]], bool)
    assert keep_whole(LABELS, hidden).tolist() == LABELS.tolist()
    assert cut_hidden(LABELS, hidden).tolist() == [[1, 1, 0, 1, 1, 0, 2, 2]]


def test_a_nucleus_of_which_little_is_left_is_removed():
    hidden = np.array([[1, 1, 1, 1, 0, 0, 0, 1]], bool)
    assert keep_whole(LABELS, hidden).tolist() == [[0, 0, 0, 0, 0, 0, 2, 2]]
    assert cut_hidden(LABELS, hidden).tolist() == [[0, 0, 0, 0, 0, 0, 2, 0]]
    assert not keep_whole(np.zeros((2, 3), np.int32), np.ones((2, 3), bool)).any()


def test_memory_does_not_grow_with_the_largest_label():
    labels = np.array([[2**31 - 1, 2**31 - 1, 0, 7]], np.int32)
    hidden = np.array([[0, 0, 0, 1]], bool)
    tracemalloc.start()
    kept = keep_whole(labels, hidden), cut_hidden(labels, hidden)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [each.tolist() for each in kept] == [[[2**31 - 1, 2**31 - 1, 0, 0]]] * 2
    assert peak < 1_000_000
