"""The files of a table: Markdown, CSV, a plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sac_wsi.files.atomic import atomic_file, make_folder
from sac_wsi.reproduce.plot import svg
from sac_wsi.reproduce.render import csv_text, curves_csv, markdown

if TYPE_CHECKING:
    from pathlib import Path

    from sac_wsi.reproduce.sheet import Sheet


def publish(sheet: Sheet, folder: Path) -> list[Path]:
    """Writes over those of an earlier call: the next call finishes what the last one began."""
    texts = {
        f"{sheet.name}.md": markdown(sheet, plot=f"{sheet.name}.svg"),
        f"{sheet.name}.csv": csv_text(sheet),
        f"{sheet.name}.svg": svg(sheet),
    }
    if curves := curves_csv(sheet):
        texts[f"{sheet.name}_curves.csv"] = curves
    make_folder(folder, "Give another one with --out.")
    for name, text in texts.items():
        with atomic_file(folder / name) as file:
            file.write(text.encode())
    return [folder / name for name in texts]
