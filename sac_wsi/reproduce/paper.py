"""All numbers that the paper prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

PAPER = "Segment Any Cell, arXiv 2401.13220"


@dataclass(frozen=True)
class PaperTable:
    """One table as printed: per cent, seconds or parameters; None where the paper has no number."""

    columns: tuple[str, ...]
    rows: Mapping[str, tuple[float | None, ...]]

    def row(self, name: str, prefix: str = "") -> dict[str, float | None]:
        """Return a row's numbers by column. Only columns with the prefix are returned, without the prefix.

        >>> paper_tables()[4].row("SAM-FT 0-point 3-expert", "dsb_")
        {'f1': 90.77, 'iou': 82.52, 'dice': 90.07}
        """
        named = zip(self.columns, self.rows[name], strict=True)
        return {column.removeprefix(prefix): value for column, value in named if column.startswith(prefix)}


@cache
def paper_tables() -> Mapping[int, PaperTable]:
    """Return the tables by their number in the paper, 1 to 8."""
    content = json.loads((files(__package__) / "paper.json").read_text(encoding="utf-8"))
    return {
        int(name.split("_")[0].removeprefix("table")): PaperTable(
            tuple(table["columns"]), {row: tuple(values) for row, values in table["rows"].items()}
        )
        for name, table in content.items()
        if name.startswith("table")
    }
