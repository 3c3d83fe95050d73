"""Write the files of a table: Markdown, CSV and SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sac_wsi.files.atomic import atomic_file, refuse_existing
from sac_wsi.files.ownership import claim_folder, is_in_own_folder
from sac_wsi.reproduce.format_table import csv_text, curves_csv, markdown
from sac_wsi.reproduce.plot import svg

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sac_wsi.reproduce.result_table import ResultTable


_INSTEAD = "Give another one with --out."


def claim_tables(folder: Path, names: Iterable[str]) -> None:
    """Make the folder of the tables, before the long work.

    Raises:
        OutputError: It is somebody else's and has a table of one of these names.
    """
    claim_folder(folder, _INSTEAD)
    for name in names:
        for ending in (".md", ".csv", ".svg", "_curves.csv"):
            refuse_existing(folder / f"{name}{ending}", is_in_own_folder, overwrite=True)


def write_files(table: ResultTable, folder: Path) -> list[Path]:
    """Write the files, replacing those of an earlier call, and return their paths."""
    texts = {
        f"{table.name}.md": markdown(table, plot=f"{table.name}.svg"),
        f"{table.name}.csv": csv_text(table),
        f"{table.name}.svg": svg(table),
    }
    if curves := curves_csv(table):
        texts[f"{table.name}_curves.csv"] = curves
    claim_folder(folder, _INSTEAD)
    for name, text in texts.items():
        with atomic_file(folder / name, is_in_own_folder) as file:
            file.write(text.encode())
    return [folder / name for name in texts]
