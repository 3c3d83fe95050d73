import pytest

from sac_wsi.errors import OutputError
from sac_wsi.reproduce.write_files import write_files


def test_files(table_of, tmp_path):
    folder = tmp_path / "out" / "tables"
    written = write_files(table_of("table1"), folder)
    assert [path.name for path in written] == ["table1.md", "table1.csv", "table1.svg"]
    assert sorted(folder.iterdir()) == sorted([*written, folder / "made_by_sac_wsi"])
    assert "(table1.svg)" in written[0].read_text("utf-8")
    again = write_files(table_of("table1"), folder)
    assert again == written


def test_a_table_of_somebody_else_stays(table_of, tmp_path):
    (tmp_path / "table1.csv").write_text("mine")
    with pytest.raises(OutputError, match="not replaced"):
        write_files(table_of("table1"), tmp_path)
    assert (tmp_path / "table1.csv").read_text() == "mine"


def test_figure_4_has_its_curves_as_numbers_too(table_of, tmp_path):
    names = [path.name for path in write_files(table_of("figure4"), tmp_path)]
    assert names == ["figure4.md", "figure4.csv", "figure4.svg", "figure4_curves.csv"]


def test_a_folder_that_cannot_be_made(table_of, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot make the folder"):
        write_files(table_of("table6"), tmp_path / "file" / "tables")
