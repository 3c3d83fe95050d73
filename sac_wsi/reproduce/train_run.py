"""Train a run, continue it, or find its finished weights.

A finished run has a file finished.json. The training state, which only continuing needs, is then removed:
with ViT-H it takes 5 GB.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sac_wsi.errors import InputChanged, SacWsiError
from sac_wsi.files.atomic import anything, atomic_file
from sac_wsi.train.loop import train
from sac_wsi.train.run_folder import STATE
from sac_wsi.train.run_folder import refuse_other as refuse_other_config

if TYPE_CHECKING:
    from sac_wsi.train.config import TrainConfig
    from sac_wsi.train.log import Listener
    from sac_wsi.train.source import Source

FINISHED = "finished.json"


def train_run(config: TrainConfig, source: Source, listener: Listener) -> Path:
    """Train until the schedule is complete and return the best weights."""
    refuse_changed_run(config, source)
    out = Path(config.output_dir)
    if (found := finished_weights(out)) is not None:
        return found
    run = train(config, source, listener=listener)
    if not run.complete:
        raise SacWsiError(
            f"schedule.minutes have passed after {run.step} steps: run the same command to go on."
        )
    mark = {"weights": run.best.name, "step": run.step, "images": source.identity}
    with atomic_file(out / FINISHED, anything) as file:
        file.write(json.dumps(mark).encode())
    (out / STATE).unlink(missing_ok=True)
    return run.best


def finished_weights(out: Path) -> Path | None:
    """Return the weights of a finished run, or None if it is not finished or they are gone."""
    weights = out / str(_mark(out).get("weights", ""))
    return weights if weights.is_file() else None


def refuse_changed_run(config: TrainConfig, source: Source) -> None:
    """Raise InputChanged if the folder holds a run of another config or of other images."""
    out = Path(config.output_dir)
    refuse_other_config(config, option="--out")
    if _mark(out).get("images", source.identity) != source.identity:
        raise InputChanged(
            f"{out} was made with other images. Give another --out, or remove that folder to start over."
        )


def _mark(out: Path) -> dict[str, Any]:
    """Return the content of finished.json; empty if the run is not finished."""
    try:
        mark = json.loads((out / FINISHED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return mark if isinstance(mark, dict) else {}
