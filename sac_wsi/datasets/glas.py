"""GlaS (Warwick-QU): NAME.bmp with NAME_anno.bmp, a label map of glands; Grade.csv if present.

The publisher's parts are in the names: train_1, testA_1, testB_1. Grade.csv has patient and grade.
"""

from __future__ import annotations

import csv
import io
import re
from functools import partial
from typing import TYPE_CHECKING

from sac_wsi.datasets.label_files import by_stem
from sac_wsi.datasets.pairs import Pair, matched
from sac_wsi.datasets.pixels import read_labels, read_rgb
from sac_wsi.datasets.sample import DataSet, Labels, Rgb, Sample, data_set, refuse_missing
from sac_wsi.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LICENCE = "research use only"
MPP = 0.62
"""20x, as published."""
ENDING = "_anno"

_NAME = re.compile(r"(train|testA|testB)_\d+")


def open_glas(folder: Path, *, allow_missing: bool = False) -> DataSet:
    """Open the dataset. With Grade.csv its groups are patients, else each image is its own group."""
    annotations = by_stem(folder, (".bmp",), ENDING)
    images = {stem: path for stem, path in by_stem(folder, (".bmp",)).items() if not stem.endswith(ENDING)}
    pairs, missing = matched(images, annotations)
    refuse_missing(missing, allow_missing)
    grades = read_grades(folder / "Grade.csv") if (folder / "Grade.csv").exists() else {}
    samples = [_sample(pair, grades.get(pair.stem, {})) for pair in pairs]
    return data_set("glas", samples, str(folder), LICENCE, missing)


def read_grades(path: Path) -> dict[str, dict[str, str]]:
    """Return patient, grade (benign, malignant) and finer grade by name. Lines end in \\r, \\n or both."""
    try:
        rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=None))
        table = [[cell.strip() for cell in row] for row in rows if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error}): copy it again, or remove it.") from None
    for row in table[:1] or [[""]]:
        _refuse_unless(row[0].lower() == "name", path, row)
    for row in table:
        _refuse_unless(len(row) >= 4, path, row)
    return {row[0]: {"patient": row[1], "grade": row[2], "fine_grade": row[3]} for row in table[1:]}


def _refuse_unless(fits: bool, path: Path, row: list[str]) -> None:
    if not fits:
        raise DataError(
            f"{path} has a line {','.join(row)[:60]!r}. Needed a heading and four columns: name, patient ID, "
            "grade (GlaS), grade (Sirinukunwattana et al. 2015)."
        )


def _sample(pair: Pair, grade: Mapping[str, str]) -> Sample:
    named = _NAME.fullmatch(pair.stem)
    return Sample(
        pair.stem,
        f"patient {grade['patient']}" if "patient" in grade else pair.stem,
        partial(read_rgb, pair.image),
        partial(_labels, pair.labels),
        split=named.group(1) if named else "",
        mpp=MPP,
        about=dict(grade),
    )


def _labels(path: Path, rgb: Rgb) -> Labels:
    return read_labels(path)
