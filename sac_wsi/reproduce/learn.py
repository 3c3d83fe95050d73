"""A run learns, goes on learning, or is found to have learnt.

Once it is over, its folder has a mark, and what only going on needs is removed: with ViT-H 5 GB a run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sac_wsi.errors import InputChanged, SacWsiError
from sac_wsi.files.atomic import atomic_file
from sac_wsi.train.loop import train
from sac_wsi.train.run_files import STATE
from sac_wsi.train.same_run import refuse_other as refuse_other_config

if TYPE_CHECKING:
    from sac_wsi.train.config import TrainConfig
    from sac_wsi.train.log import Listener
    from sac_wsi.train.source import Source

FINISHED = "finished.json"


def learn(config: TrainConfig, source: Source, listener: Listener) -> Path:
    """The best weights, once training is complete."""
    refuse_other(config, source)
    out = Path(config.output_dir)
    if (found := finished(out)) is not None:
        return found
    run = train(config, source, listener=listener)
    if not run.complete:
        raise SacWsiError(f"schedule.minutes are over after {run.step} steps: run the same command to go on.")
    mark = {"weights": run.best.name, "step": run.step, "images": source.identity}
    with atomic_file(out / FINISHED) as file:
        file.write(json.dumps(mark).encode())
    (out / STATE).unlink(missing_ok=True)
    return run.best


def finished(out: Path) -> Path | None:
    """The weights of a run that is over, if they are still there."""
    weights = out / str(_mark(out).get("weights", ""))
    return weights if weights.is_file() else None


def refuse_other(config: TrainConfig, source: Source) -> None:
    """InputChanged where the folder has a run of another config, or of other images."""
    out = Path(config.output_dir)
    try:
        refuse_other_config(config)
    except InputChanged as error:
        raise InputChanged(str(error).replace("output_dir", "--out")) from None
    if _mark(out).get("images", source.identity) != source.identity:
        raise InputChanged(
            f"{out} was made with other images. Give another --out, or remove that folder to begin anew."
        )


def _mark(out: Path) -> dict[str, Any]:
    """Nothing where the run is not over."""
    try:
        told = json.loads((out / FINISHED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
