"""The columns of the store: written in parts, read in parts, damage named."""

from dataclasses import fields

import numpy as np
import pytest
import zarr

from sac_wsi.errors import StoreError
from sac_wsi.geometry import Box
from sac_wsi.nuclei.table import MEASUREMENTS, NucleusRows
from sac_wsi.store import columns
from sac_wsi.store.columns import PAGE_PX, Table, TableWriter, open_array, plain_columns
from sac_wsi.store.provenance import read_provenance


def rows_of(count, first_id=1):
    """Return rows whose nucleus number i has i % 3 + 3 vertices and i % 4 bytes of mask."""
    rng = np.random.default_rng(first_id)
    start = lambda sizes: np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)  # noqa: E731
    polygon_start, mask_start = start(np.arange(count) % 3 + 3), start(np.arange(count) % 4)
    return NucleusRows(
        id=first_id + np.arange(count),
        uuid=rng.integers(0, 256, (count, 16), np.uint8),
        anchor_yx=rng.integers(0, 9999, (count, 2), np.int32),
        box=rng.integers(0, 9999, (count, 4), np.int32),
        area_px=rng.integers(0, 99, count, np.int32),
        score=rng.random(count, np.float32),
        measurements=rng.random((count, len(MEASUREMENTS)), np.float32),
        polygon_start=polygon_start,
        polygon_xy_centipx=rng.integers(0, 9999, (polygon_start[-1], 2), np.int32),
        mask_start=mask_start,
        mask_bits=rng.integers(0, 256, mask_start[-1], np.uint8),
    )


def write(store, parts):
    totals = (
        sum(len(getattr(part, name)) for part in parts) for name in ("id", "polygon_xy_centipx", "mask_bits")
    )
    writer = TableWriter(store, *totals)
    for part in parts:
        writer.append(part)
    writer.close()
    return Table(store)


def assert_equal(a, b):
    for field in fields(NucleusRows):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), err_msg=field.name)


def test_rows_are_read_as_they_were_written(tmp_path):
    table = write(tmp_path / "s", [rows_of(50)])
    assert len(table) == 50
    assert_equal(table.rows(0, 50), rows_of(50))


def test_parts_are_joined_and_ragged_columns_count_on(tmp_path):
    parts = [rows_of(7), rows_of(0, 8), rows_of(5, 8)]
    table = write(tmp_path / "s", parts)
    assert_equal(table.rows(0, 7), parts[0])
    assert_equal(table.rows(7, 12), parts[2])


def test_more_rows_than_a_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(columns, "_CHUNK_ROWS", 16)
    monkeypatch.setattr(columns, "_CHUNK_RAGGED", 32)
    monkeypatch.setattr(columns, "ROWS_AT_ONCE", 10)
    parts = [rows_of(count, 1 + 30 * count) for count in (9, 30, 1, 17)]
    table = write(tmp_path / "s", parts)
    assert [len(batch) for batch in table.batches()] == [10, 10, 10, 10, 10, 7]
    assert table.column("id").tolist() == np.concatenate([part.id for part in parts]).tolist()
    assert_equal(table.rows(9, 39), parts[1])


def test_a_table_that_got_too_few_rows_is_refused(tmp_path):
    writer = TableWriter(tmp_path / "s", 5, 20, 6)
    writer.append(rows_of(3))
    with pytest.raises(StoreError, match="Column id got 3 values, needed 5"):
        writer.close()


def test_a_column_or_measurement_by_its_name(tmp_path):
    rows = rows_of(20)
    table = write(tmp_path / "s", [rows])
    area = table.column("Area µm^2", slice(3, 9))
    assert area.tolist() == rows.measurements[3:9, MEASUREMENTS.index("Area µm^2")].tolist()
    assert all(len(table.column(name)) == 20 for name in plain_columns())
    with pytest.raises(KeyError, match="no column 'area'; there are id, uuid"):
        table.column("area")
    with pytest.raises(KeyError):
        table.column("mask_bits")


def test_rows_near_a_box_are_those_of_its_pages(tmp_path):
    """2 x 2 pages with 3, 4, 0 and 5 nuclei."""
    table = write(tmp_path / "s", [rows_of(12)])
    group = zarr.open_group(tmp_path / "s", mode="a", path="nuclei")
    start = group.create_array("page_start", data=np.array([0, 3, 7, 7, 12]))
    start.attrs.update({"page_px": PAGE_PX, "pages_yx": [2, 2]})

    def near(y, x):
        box = Box(y, x, y + 10, x + 10)
        ids = [row for batch in table.near(box) for row in batch.id.tolist()]
        assert ids == [row for batch in table.masks_near(box) for row in batch.id.tolist()]
        return ids

    assert near(0, 0) == [1, 2, 3]
    assert near(100, PAGE_PX - 5) == [1, 2, 3, 4, 5, 6, 7]
    assert near(PAGE_PX + 1000, 0) == []
    assert near(PAGE_PX + 1000, PAGE_PX + 1000) == [8, 9, 10, 11, 12]


def test_a_damaged_chunk_is_named(tmp_path):
    table = write(tmp_path / "s", [rows_of(2000)])
    chunk = next(path for path in (tmp_path / "s/nuclei/uuid/c").rglob("*") if path.is_file())
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 255
    chunk.write_bytes(data)
    with pytest.raises(StoreError, match=r"nuclei/uuid is damaged .* --overwrite"):
        table.column("uuid")


def test_a_missing_array_is_named(tmp_path):
    zarr.create_group(tmp_path / "s")
    with pytest.raises(StoreError, match="lacks the array 'nuclei/id'"):
        open_array(tmp_path / "s", "nuclei/id")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "not written by sac-wsi"),
        ({"sac_wsi": 5}, "not written by sac-wsi"),
        ({"sac_wsi": {"format": 99, "version": "9.9"}}, "has format 99; this sac-wsi reads format 1.*9.9"),
    ],
)
def test_a_store_that_is_not_ours_is_refused(tmp_path, attributes, message):
    zarr.create_group(tmp_path / "s", attributes=attributes)
    with pytest.raises(StoreError, match=message):
        read_provenance(tmp_path / "s")


def test_a_folder_that_is_no_zarr_is_refused(tmp_path):
    with pytest.raises(StoreError, match="cannot be read as a zarr group"):
        read_provenance(tmp_path)
