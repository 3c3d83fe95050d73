import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sac_wsi.files.columns import read_columns, write_columns

NUMBERS = st.one_of(hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(), hnp.floating_dtypes(sizes=(32, 64)))
ARRAYS = hnp.arrays(NUMBERS, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("columns") / "a.columns"


def write(path, arrays):
    with path.open("wb") as file:
        write_columns(file, arrays)


@given(st.dictionaries(st.text(max_size=5), ARRAYS, max_size=4))
def test_what_is_written_is_read(path, arrays):
    write(path, arrays)
    for names in (None, list(arrays)[:1]):
        read = read_columns(path, names)
        assert list(read) == list(arrays)[: None if names is None else 1]
        for name, array in read.items():
            assert array.dtype == arrays[name].dtype
            np.testing.assert_array_equal(array, arrays[name])
            array[...] = 0  # it is the reader's own


@given(st.data())
def test_any_damage_is_noticed(path, data):
    write(path, {"a": np.arange(7, dtype=np.int32), "b": np.ones((2, 3), np.float32)})
    sound = path.read_bytes()
    at = data.draw(st.integers(0, len(sound) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(sound[:at])
    else:
        bit = 1 << data.draw(st.integers(0, 7))
        path.write_bytes(sound[:at] + bytes([sound[at] ^ bit]) + sound[at + 1 :])
    with pytest.raises(ValueError, match=r"checksum|ends|header"):
        read_columns(path)


def test_a_column_that_is_not_there(path):
    write(path, {"a": np.zeros(1)})
    with pytest.raises(KeyError):
        read_columns(path, ["b"])


def test_only_numbers():
    with pytest.raises(TypeError, match="needed numbers"):
        write_columns(io.BytesIO(), {"a": np.array([{"x": 1}], dtype=object)})
