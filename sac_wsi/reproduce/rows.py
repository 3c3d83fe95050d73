"""Rows and tables of the paper, built from its printed numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from sac_wsi.model.nets.sizes import Family
from sac_wsi.reproduce.experiment import Dataset, Experiment, MaskLoss, Selection
from sac_wsi.reproduce.paper import paper_tables

Reading = Literal["", "by its numbers", "as named"]
Shows = Literal["scores", "curves", "parameters"]

# "LoRA" is what Table 3 calls SAC
_FAMILIES: dict[str, Family] = {"SAM": "sam", "SAM-FT": "sam-ft", "MSA": "msa", "LoRA": "sac"}
_PROMPTED = re.compile(r"(\S+) (\d+)-point (\d+)-expert")


@dataclass(frozen=True)
class Row:
    """One row of a table.

    name     as the paper prints it
    paper    its numbers by column; per cent, seconds, parameters
    run      None if the paper quotes the row from elsewhere, or if its parameters are counted
    counted  Table 6: the family whose parameters are counted
    notes    keys of footnotes
    dataset  dataset of the scores, also for a quoted row
    """

    name: str
    paper: Mapping[str, float | None]
    run: Experiment | None = None
    counted: Family | None = None
    notes: tuple[str, ...] = ()
    reading: Reading = ""
    dataset: Dataset | None = None

    @property
    def quoted(self) -> bool:
        """Whether the paper quotes the row from elsewhere, so that it is not run."""
        return self.run is None and self.counted is None

    @property
    def label(self) -> str:
        """A label that is unique in the table."""
        return f"{self.name} ({self.reading})" if self.reading else self.name


@dataclass(frozen=True)
class Target:
    """A table or figure that ``sac-wsi reproduce`` makes. ``notes`` are keys of footnotes on all rows."""

    name: str
    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    shows: Shows = "scores"
    times: bool = False

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        """The datasets of the rows that are run."""
        return tuple(dict.fromkeys(row.run.dataset for row in self.rows if row.run is not None))


# --- runs ----------------------------------------------------------------------------------------


def make_run(
    dataset: Dataset,
    family: Family,
    points: int = 0,
    experts: int = 0,
    *,
    way: Selection = "R",
    encoder: str = "vit_h",
    mask_loss: MaskLoss = "focal_dice",
) -> Experiment:
    """Return a run; settings that its family does not have are left empty."""
    chosen = way if points else ""
    return Experiment(
        dataset, family, encoder, chosen, points, experts, "" if family in ("sam", "unet") else mask_loss
    )


def unet(dataset: Dataset) -> Experiment:
    """Return the run of the U-Net alone."""
    return make_run(dataset, "unet", encoder="")


def run_named(name: str, dataset: Dataset) -> Experiment:
    """Return the run of a full name such as "SAM-FT 1-point 3-expert"."""
    found = _PROMPTED.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} does not state its prompts: needed MODEL n-point n-expert")
    family, points, experts = found.groups()
    return make_run(dataset, _FAMILIES[family], int(points), int(experts))


# --- rows ----------------------------------------------------------------------------------------


def rows_of(
    table: int,
    dataset: Dataset,
    runs: Mapping[str, Experiment],
    notes: Mapping[str, tuple[str, ...]],
    prefix: str = "",
) -> tuple[Row, ...]:
    """Return every row that the paper prints in a table; rows without a run are quoted."""
    printed = paper_tables()[table]
    unknown = (runs.keys() | notes.keys()) - printed.rows.keys()
    if unknown:
        raise ValueError(f"table {table} of the paper has no rows {sorted(unknown)}")
    return tuple(
        Row(
            name,
            printed.row(name, prefix),
            runs.get(name),
            notes=notes.get(name, ()),
            dataset=dataset,
        )
        for name in printed.rows
    )


def add_second_reading(rows: tuple[Row, ...], as_named: Mapping[str, Experiment]) -> tuple[Row, ...]:
    """Add a second row after each row whose name and numbers belong to different runs."""
    found: list[Row] = []
    for row in rows:
        if row.name not in as_named:
            found.append(row)
            continue
        found.append(replace(row, reading="by its numbers"))
        found.append(replace(row, reading="as named", run=as_named[row.name]))
    return tuple(found)
