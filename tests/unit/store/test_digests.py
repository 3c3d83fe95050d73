"""Whatever happens to a file of a store is noticed."""

import json
import shutil

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from sac_wsi.errors import StoreError
from sac_wsi.store.digests import DIGESTS, array_digests, damaged_arrays, refuse_damaged


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    store = tmp_path_factory.mktemp("sound") / "x.zarr"
    group = zarr.create_group(store)
    rng = np.random.default_rng(0)
    for name, shape, chunks in (
        ("0", (90, 80), (50, 50)),
        ("nuclei/id", (700,), (300,)),
        ("tissue", (9, 9), (9, 9)),
    ):
        group.create_array(name, data=rng.integers(1, 99, shape), chunks=chunks)
    group.attrs["sac_wsi"] = {"format": 1, DIGESTS: array_digests(store)}
    return store


def test_an_untouched_store_is_as_it_was_written(sound):
    assert set(array_digests(sound)) == {"0", "nuclei/id", "tissue"}
    assert damaged_arrays(sound) == []
    refuse_damaged(sound)


@given(data=st.data())
def test_any_change_of_any_file_is_noticed(sound, tmp_path_factory, data):
    store = tmp_path_factory.mktemp("damaged") / "x.zarr"
    shutil.copytree(sound, store)
    files = sorted(
        p for name in ("0", "nuclei/id", "tissue") for p in (store / name).rglob("*") if p.is_file()
    )
    path = data.draw(st.sampled_from(files))
    kind = data.draw(st.sampled_from(["removed", "cut", "bit", "moved", "added"]))
    content = path.read_bytes()
    if kind == "removed":
        path.unlink()
    elif kind == "cut":
        path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    elif kind == "bit":
        at = data.draw(st.integers(0, len(content) - 1))
        path.write_bytes(
            content[:at] + bytes([content[at] ^ 1 << data.draw(st.integers(0, 7))]) + content[at + 1 :]
        )
    elif kind == "moved":
        path.rename(path.with_name("9"))
    else:
        path.with_name("9").write_bytes(content)
    name = path.relative_to(store).as_posix()
    array = next(array for array in ("0", "nuclei/id", "tissue") if name.startswith(f"{array}/"))
    assert damaged_arrays(store) == [array]
    assert damaged_arrays(store, "nuclei/") == ([array] if array == "nuclei/id" else [])
    with pytest.raises(StoreError, match=f"{array} is not what was written"):
        refuse_damaged(store)


def test_a_removed_array_and_a_changed_type_are_noticed(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "x.zarr")
    shutil.rmtree(tmp_path / "x.zarr" / "tissue")
    metadata = tmp_path / "x.zarr" / "nuclei" / "id" / "zarr.json"
    metadata.write_text(json.dumps(json.loads(metadata.read_text()) | {"data_type": "float64"}))
    assert damaged_arrays(tmp_path / "x.zarr") == ["nuclei/id", "tissue"]


def test_a_store_of_an_earlier_version_has_nothing_to_compare(tmp_path):
    zarr.create_group(tmp_path / "x.zarr", attributes={"sac_wsi": {"format": 1}})
    refuse_damaged(tmp_path / "x.zarr")
