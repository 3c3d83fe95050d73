"""The paper's tables: for each row the run behind it, or that the paper quotes it from elsewhere.

Rows are in the paper's order. If the name and the numbers of a row belong to different runs, there is a row
for each of them.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import TYPE_CHECKING

from sac_wsi.errors import RequestError
from sac_wsi.reproduce.paper import paper_tables
from sac_wsi.reproduce.rows import Row, Target, add_second_reading, make_run, rows_of, run_named, unet

if TYPE_CHECKING:
    from sac_wsi.model.nets.sizes import Family
    from sac_wsi.reproduce.experiment import Dataset

_SAC = run_named("LoRA 1-point 0-expert", "monuseg")
_TRAINED = ("measures", "recipe", "prompts", "way")


def _table_1() -> Target:
    rows = rows_of(
        1,
        "monuseg",
        {
            "U-Net": unet("monuseg"),
            "SAM 1-expert": run_named("SAM 0-point 1-expert", "monuseg"),
            "SAM-FT 1-expert": run_named("SAM-FT 1-point 1-expert", "monuseg"),
            "MSA 1-expert": run_named("MSA 0-point 1-expert", "monuseg"),
            "SAC 0-expert": _SAC,
        },
        {
            "U-Net": ("unet",),
            "HistoSeg": ("histoseg",),
            "SAM-FT 1-expert": ("table1-sam-ft",),
            "MSA 1-expert": ("table1-msa",),
            "SAC 0-expert": ("f1-dice", "one-point"),
        },
    )
    return Target("table1", "Table 1: MoNuSeg", rows, (*_TRAINED, "validation"))


def _table_2() -> Target:
    rows = rows_of(
        2,
        "dsb",
        {
            "U-Net": unet("dsb"),
            "SAM 1-expert": run_named("SAM 0-point 1-expert", "dsb"),
            "SAM-FT 1-expert": run_named("SAM-FT 0-point 0-expert", "dsb"),
            "MSA 1-expert": run_named("MSA 0-point 1-expert", "dsb"),
            "SAC 0-expert": run_named("LoRA 1-point 0-expert", "dsb"),
        },
        {
            "U-Net": ("unet",),
            "SAM-FT 1-expert": ("table2-sam-ft",),
            "MSA 1-expert": ("table2-msa",),
            "SAC 0-expert": ("one-point",),
        },
    )
    rows = add_second_reading(rows, {"SAM-FT 1-expert": run_named("SAM-FT 0-point 1-expert", "dsb")})
    return Target("table2", "Table 2: DSB 2018", rows, (*_TRAINED, "dsb-split"))


def _table_3() -> Target:
    names = paper_tables()[3].rows
    notes: dict[str, tuple[str, ...]] = {
        "SAM-FT 1-point 0-expert": ("r1-named",),
        "SAM-FT 1-point 1-expert": ("table1-sam-ft", "table5-names"),
        "SAM-FT 1-point 3-expert": ("table5-names",),
        "SAM-FT 3-point 3-expert": ("table5-names",),
        "MSA 0-point 1-expert": ("table1-msa",),
        "LoRA 1-point 0-expert": ("f1-dice",),
    }
    notes |= {name: ("no-prompt",) for name in names if name.endswith(" 0-point 0-expert")}
    rows = rows_of(3, "monuseg", {name: run_named(name, "monuseg") for name in names}, notes)
    return Target("table3", "Table 3: prompts, MoNuSeg", rows, (*_TRAINED, "validation"))


def _table_4() -> Target:
    names = paper_tables()[4].rows
    notes: dict[Dataset, dict[str, tuple[str, ...]]] = {
        "monuseg": {
            "SAM-FT 0-point 0-expert": ("no-prompt",),
            "SAM-FT 0-point 1-expert": ("table1-sam-ft",),
        },
        "dsb": {
            "SAM-FT 0-point 0-expert": ("no-prompt", "table2-sam-ft"),
            "SAM-FT 0-point 1-expert": ("table2-sam-ft",),
        },
    }

    def part(dataset: Dataset, title: str) -> tuple[Row, ...]:
        runs = {name: run_named(name, dataset) for name in names}
        rows = rows_of(4, dataset, runs, notes[dataset], f"{dataset}_")
        return tuple(replace(row, name=f"{title}: {row.name}") for row in rows)

    rows = (*part("monuseg", "MoNuSeg"), *part("dsb", "DSB"))
    return Target(
        "table4",
        "Table 4: SAM-FT without automatic points",
        rows,
        ("measures", "recipe", "prompts", "validation", "dsb-split"),
    )


def _table_5() -> Target:
    names = paper_tables()[5].rows
    as_named = {
        name: make_run("monuseg", "sam-ft", int(name.split("-")[1]), way="O" if name[0] == "O" else "R")
        for name in names
    }
    by_numbers = {
        "R-1-point": run_named("SAM-FT 1-point 1-expert", "monuseg"),
        "R-3-point": run_named("SAM-FT 1-point 3-expert", "monuseg"),
        "R-256-point": run_named("SAM-FT 3-point 3-expert", "monuseg"),
    }
    notes = {name: ("table5-names",) if name in by_numbers else ("table5-o",) for name in names}
    rows = add_second_reading(
        rows_of(5, "monuseg", as_named | by_numbers, notes), {name: as_named[name] for name in by_numbers}
    )
    rows = tuple(
        replace(row, notes=(*row.notes, "r1-named")) if row.label == "R-1-point (as named)" else row
        for row in rows
    )
    return Target(
        "table5",
        "Table 5: selection of points, MoNuSeg",
        rows,
        ("measures", "recipe", "prompts", "validation", "time"),
        times=True,
    )


def _table_6() -> Target:
    families: dict[str, Family] = {"SAM-FT": "sam-ft", "MSA": "msa", "SAC": "sac"}
    printed = paper_tables()[6]
    rows = tuple(Row(name, printed.row(name), counted=families[name]) for name in printed.rows)
    return Target(
        "table6",
        "Table 6: parameters, ViT-H",
        rows,
        ("table6-unet", "table6-prompt-encoder"),
        shows="parameters",
    )


def _table_7() -> Target:
    encoders = {"ViT-B": "vit_b", "ViT-L": "vit_l", "ViT-H": "vit_h"}
    rows = rows_of(
        7,
        "monuseg",
        {name: replace(_SAC, encoder=encoder) for name, encoder in encoders.items()},
        {"ViT-B": ("vit-b-time",), "ViT-H": ("f1-dice",)},
    )
    return Target("table7", "Table 7: encoders, MoNuSeg", rows, (*_TRAINED, "validation", "time"), times=True)


def _table_8() -> Target:
    rows = rows_of(
        8,
        "glas",
        {"U-Net": unet("glas"), "SAC 0-expert": run_named("LoRA 1-point 0-expert", "glas")},
        {
            "U-Net": ("unet",),
            "MedT": ("medt",),
            "HistoSeg": ("histoseg",),
            "SAC 0-expert": ("one-point",),
        },
    )
    return Target("table8", "Table 8: GlaS", rows, _TRAINED)


_NO_NUMBERS: dict[str, float | None] = {"f1": None, "iou": None, "dice": None}


def _figure_4() -> Target:
    """Return the runs of Table 1 with their curves by epoch."""
    of_table_1 = {row.name: row for row in _table_1().rows}
    names = {"SAM-FT": "SAM-FT 1-expert", "MSA": "MSA 1-expert", "SAC": "SAC 0-expert"}
    rows = tuple(
        replace(of_table_1[row], name=name, paper=_NO_NUMBERS, notes=()) for name, row in names.items()
    )
    return Target(
        "figure4",
        "Figure 4: Dice by epoch, MoNuSeg",
        rows,
        ("figure4", *_TRAINED, "validation"),
        shows="curves",
    )


def _losses() -> Target:
    printed = paper_tables()[3].row("LoRA 1-point 0-expert")
    rows = (
        Row("focal + Dice", printed, _SAC, notes=("f1-dice",), dataset="monuseg"),
        Row("DiceCE", _NO_NUMBERS, replace(_SAC, mask_loss="dice_ce"), dataset="monuseg"),
        Row(
            "DiceCE as printed",
            _NO_NUMBERS,
            replace(_SAC, mask_loss="dice_ce_as_printed"),
            notes=("eq8",),
            dataset="monuseg",
        ),
    )
    return Target(
        "losses",
        "Losses on the mask: SAC, MoNuSeg",
        rows,
        ("losses-unprinted", *_TRAINED, "validation"),
    )


TARGETS: dict[str, Target] = {
    made.name: made
    for made in (
        _table_1(),
        _table_2(),
        _table_3(),
        _table_4(),
        _table_5(),
        _table_6(),
        _table_7(),
        _table_8(),
        _figure_4(),
        _losses(),
    )
}


def target(name: str) -> Target:
    """Return the target with a name of the command line."""
    if name in TARGETS:
        return TARGETS[name]
    near = difflib.get_close_matches(name, TARGETS, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(TARGETS)}."
    raise RequestError(f"There is nothing called {name!r} to reproduce. {hint}")
