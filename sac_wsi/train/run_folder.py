"""Name the files of a run, save its settings in its folder, and refuse a run with other settings there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sac_wsi.errors import ConfigError, InputChanged, OutputError
from sac_wsi.files.atomic import atomic_file
from sac_wsi.files.regular import read_regular
from sac_wsi.model.checkpoint.inference import with_todays_names
from sac_wsi.settings.typed import build
from sac_wsi.train.config import TrainConfig

STATE, BEST, LAST = "state.pt", "best.safetensors", "last.safetensors"
CONFIG, LOG, REPORT, SCORES = "config.json", "log.jsonl", "report.html", "scores.json"
"""Names of the files that a run writes into its folder."""
_OF_A_RUN = (STATE, BEST, LAST, LOG, REPORT, SCORES)
_LARGEST_CONFIG = 1 << 20

_OF_A_CALL = {
    *("output_dir", "base", "start", "data.images", "data.labels"),  # the images' names are in the state
    *("schedule.minutes", "schedule.checkpointing", "data.skip_bad"),
}
"""Paths and settings of a single call; a resumed run may change them."""


def claim_folder(config: TrainConfig) -> None:
    """Write the settings of the run, or check that they equal those in the folder.

    Raises:
        InputChanged: The folder contains a run of other settings.
    """
    refuse_other(config)
    path = Path(config.output_dir) / CONFIG
    if not _is_config(path):
        for name in (CONFIG, *_OF_A_RUN):
            if os.path.lexists(path.with_name(name)):
                raise OutputError(
                    f"{path.with_name(name)} is there and no training of sac-wsi wrote it: give another "
                    "output_dir, or move it away."
                )
    if not (path.exists() and _has_weights(path.parent)):
        with atomic_file(path, _is_config) as file:
            file.write(json.dumps(asdict(config), indent=1).encode())


def _is_config(path: Path) -> bool:
    """Return whether a file is the config of a run; then all files that a run names are that run's."""
    try:
        values = json.loads(read_regular(path, _LARGEST_CONFIG))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and {"name", "size", "objective", "schedule"} <= values.keys()


def refuse_other(config: TrainConfig, option: str = "output_dir") -> None:
    """Raise InputChanged if the folder has a run of another config; ``option`` names the folder."""
    path = Path(config.output_dir) / CONFIG
    if not (path.exists() and _has_weights(path.parent)):
        return
    try:
        # new settings get their defaults, and renamed settings their new names
        values = json.loads(path.read_text(encoding="utf-8"))
        values["inference"] = with_todays_names(values.get("inference", {}))
        held = asdict(build(TrainConfig, values))
    except (OSError, ValueError, ConfigError, TypeError, AttributeError):
        raise InputChanged(
            f"{path} cannot be read. Give another {option}, or remove that folder to start over."
        ) from None
    for name, old, new in differences(held, asdict(config)):
        raise InputChanged(
            f"{path.parent} was made with {name} {old!r}, and it is {new!r} now. Give another {option}, "
            "or remove that folder to start over."
        )


def _has_weights(folder: Path) -> bool:
    """Return whether the run has saved any weights; before that, its settings may change."""
    return any((folder / name).exists() for name in (STATE, BEST, LAST))


def differences(
    held: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, old and new value of each setting that differs, without those of a single call.

    >>> list(differences({"data": {"seed": 2, "images": "x"}}, {"data": {"seed": 3, "images": "y"}}))
    [('data.seed', 2, 3)]
    """
    for key, new in wanted.items():
        name, old = f"{prefix}{key}", held.get(key)
        if isinstance(new, Mapping) and isinstance(old, Mapping):
            yield from differences(old, new, f"{name}.")
        elif old != new and name not in _OF_A_CALL:
            yield name, old, new
