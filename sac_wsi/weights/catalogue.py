"""List the weight files that ship and those that can be downloaded, and find them on disk."""

from __future__ import annotations

import difflib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from sac_wsi.errors import RequestError

_META = "https://dl.fbaipublicfiles.com/segment_anything/"
SAM_LICENCE = "Apache-2.0"
OURS = ".safetensors"
_SHIPPED = Path(__file__).parent
_RESEARCH_FOLDER = "research"
RESEARCH_MODEL = "sac-tiny-research"
_LONGEST_HEADER = 1 << 24


@dataclass(frozen=True)
class ModelFile:
    """A published weight file: ``size`` in bytes; ``licence`` is the licence of the weights."""

    name: str
    file: str
    url: str
    size: int
    sha256: str
    licence: str


def _sam(name: str, file: str, size: int, sha256: str) -> ModelFile:
    return ModelFile(name, file, _META + file, size, sha256, SAM_LICENCE)


MODEL_FILES: tuple[ModelFile, ...] = (
    _sam(
        "sam_vit_b",
        "sam_vit_b_01ec64.pth",
        375_042_383,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    _sam(
        "sam_vit_l",
        "sam_vit_l_0b3195.pth",
        1_249_524_607,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    _sam(
        "sam_vit_h",
        "sam_vit_h_4b8939.pth",
        2_564_550_879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
)
"""Meta's Segment Anything."""


def models_folder() -> Path:
    """Return the folder for downloaded weights.

    It is ``$SAC_WSI_MODELS``, or else ``sac-wsi/models`` in the user's cache folder.
    """
    if chosen := os.environ.get("SAC_WSI_MODELS"):
        return Path(chosen).expanduser()
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # the XDG specification says to ignore a relative path
    return (cache if cache.is_absolute() else Path.home() / ".cache") / "sac-wsi" / "models"


def known_model(name: str) -> ModelFile:
    """Return the model of this name or file name; raise RequestError if there is none."""
    for model in MODEL_FILES:
        if name in (model.name, model.file):
            return model
    names = [model.name for model in MODEL_FILES]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise RequestError(f"There is no model {name!r} to download. {hint}Known models: {', '.join(names)}.")


def shipped_model_files() -> list[Path]:
    """Return the weight files that are part of the installation; the wheel omits those for research only."""
    return sorted(_SHIPPED.glob(f"**/*{OURS}"), key=lambda path: path.name)


def shipped_path(name: str, *, non_commercial: bool) -> Path:
    """Return the path of shipped weights with this name."""
    return (_SHIPPED / _RESEARCH_FOLDER if non_commercial else _SHIPPED) / f"{name}{OURS}"


def own_model_files() -> list[Path]:
    """Return the user's own weight files in the models folder."""
    return sorted(path for path in models_folder().glob(f"*{OURS}") if path.is_file())


@dataclass(frozen=True)
class Terms:
    """The licence of a weight file, and whether it forbids commercial use."""

    licence: str
    non_commercial: bool


def terms_of(path: Path) -> Terms:
    """Return the terms on the card in the file's header.

    The header is read without torch. Nothing is validated; a file without a card has the licence "unknown".
    """
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(size, _LONGEST_HEADER)))
        card = json.loads(json.loads(header["__metadata__"]["sac_wsi"])["sac_wsi_card"])
        return Terms(str(card["training"]["licence"]), bool(card["training"]["non_commercial"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Terms("unknown", non_commercial=False)


def find_model_file(name: str) -> Path | None:
    """Return the path of the model with this name, or None; its content is not read.

    Shipped weights come first, so that their names mean the same on every machine.
    """
    names = {model.name: model.file for model in MODEL_FILES}
    wanted = (names.get(name, name), f"{name}{OURS}")
    shipped = (path for path in shipped_model_files() if path.name in wanted)
    kept = (models_folder() / file for file in wanted if file == Path(file).name)
    return next((path for path in (*shipped, *kept) if path.is_file()), None)
