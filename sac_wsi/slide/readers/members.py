"""List the files of a slide that consists of more than one file."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

from sac_wsi.errors import SlideError
from sac_wsi.slide.protocol import safe_name

_DICOM_HEADER_BYTES = 1 << 20
_SLIDEDAT_BYTES = 1 << 24


def mirax_files(path: Path) -> list[Path]:
    """Return the .mrxs file and all files in its folder; raise SlideError if a data file is missing."""
    folder = path.with_suffix("")
    slidedat = folder / "Slidedat.ini"
    if not slidedat.is_file():
        raise SlideError(
            f"{safe_name(path)} needs the folder {safe_name(folder)}/ with its Slidedat.ini and .dat files: "
            "copy that folder next to it."
        )
    missing = [name for name in _named_in(slidedat) if not (folder / name).is_file()]
    if missing:
        raise SlideError(
            f"{safe_name(path)} misses {len(missing)} of the data files that its Slidedat.ini lists: copy "
            f"the whole folder {safe_name(folder)}/ again."
        )
    return [path, *sorted(p for p in folder.rglob("*") if p.is_file())]


def dicom_files(path: Path, series_uid: str) -> list[Path]:
    """Return the files of one series in the folder of ``path``, as OpenSlide collects them."""
    wanted = series_uid.encode()
    return [p for p in dicom_candidates(path.parent) if p == path or wanted in _head(p)]


def dicom_candidates(folder: Path) -> list[Path]:
    """Return the files of a folder that start like DICOM, sorted by name."""
    return sorted(p for p in folder.iterdir() if p.is_file() and _is_dicom(p))


def vms_files(path: Path) -> list[Path]:
    """Return a Hamamatsu .vms or .vmu file and the images beside it that it lists."""
    with path.open("rb") as file:
        text = file.read(_SLIDEDAT_BYTES).decode("latin-1")
    values = (value.strip() for value in re.findall(r"^\w+(?:\([\d,]+\))?=(.+)$", text, re.MULTILINE))
    named = {path.parent / value for value in values if Path(value).name == value}
    return [path, *sorted(p for p in named if p.is_file())]


def _named_in(slidedat: Path) -> list[str]:
    """Return the data and index files that a Slidedat.ini lists; none if it cannot be parsed."""
    with slidedat.open("rb") as file:
        text = file.read(_SLIDEDAT_BYTES).decode("utf-8-sig", "replace")
    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(text)
    except configparser.Error:
        return []
    index = parser.get("HIERARCHICAL", "INDEXFILE", fallback="")
    data = [v for k, v in _section(parser, "DATAFILE") if re.fullmatch(r"file_\d+", k)]
    return [name for name in (index, *data) if name and Path(name).name == name]


def _section(parser: configparser.ConfigParser, name: str) -> list[tuple[str, str]]:
    return parser.items(name) if parser.has_section(name) else []


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_DICOM_HEADER_BYTES)
