import json
from importlib.resources import files
from pathlib import Path

import pytest

from sac_wsi.reproduce.paper import paper_tables

SHARED = Path(__file__).parents[4] / "shared" / "paper" / "tables.json"


def test_eight_tables():
    found = paper_tables()
    assert sorted(found) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [len(table.rows) for table in found.values()] == [10, 11, 17, 3, 6, 3, 3, 7]
    for table in found.values():
        assert all(len(values) == len(table.columns) for values in table.rows.values())


@pytest.mark.parametrize(
    ("table", "row", "column", "printed"),
    [
        (1, "SAC 0-expert", "f1", 84.11),
        (1, "SAC 0-expert", "dice", 84.03),
        (1, "SAM-FT 1-expert", "f1", 81.57),
        (1, "HistoSeg", "iou", 71.06),
        (1, "MDM", "f1", None),
        (1, "U-Net", "f1", 79.43),
        (2, "U-Net", "dice", 90.80),
        (2, "SAM-FT 1-expert", "f1", 92.89),
        (3, "LoRA 1-point 0-expert", "f1", 84.03),
        (3, "LoRA 1-point 0-expert", "dice", 84.11),
        (4, "SAM-FT 0-point 1-expert", "monuseg_f1", 63.91),
        (4, "SAM-FT 0-point 1-expert", "dsb_f1", 91.41),
        (5, "O-256-point", "seconds_per_epoch", 23),
        (6, "SAC", "trainable", 56_493_360),
        (6, "MSA", "total", 693_621_808),
        (6, "SAM-FT", "trainable", 12_746_129),
        (7, "ViT-H", "dice", 84.11),
        (8, "HistoSeg", "f1", 98.07),
    ],
)
def test_numbers_that_the_facts_name(table, row, column, printed):
    assert paper_tables()[table].row(row)[column] == printed


def test_a_part_of_a_row():
    table = paper_tables()[4]
    assert table.row("SAM-FT 0-point 0-expert", "monuseg_") == {"f1": 79.78, "iou": 68.0, "dice": 80.89}


@pytest.mark.skipif(not SHARED.exists(), reason="the project's own copy of the paper's numbers is not here")
def test_every_number_is_the_projects():
    ours = json.loads((files("sac_wsi.reproduce") / "paper.json").read_text())
    assert ours == json.loads(SHARED.read_text())
