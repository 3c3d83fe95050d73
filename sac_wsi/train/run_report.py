"""Report the best weights at the end of a run: scores.json, and report.html with pictures."""

from __future__ import annotations

import json
import platform
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sac_wsi.evaluate.metrics import ImageScores, summarise
from sac_wsi.files.atomic import anything, atomic_file
from sac_wsi.model.checkpoint.file import load_model
from sac_wsi.model.nets.sac import build_model
from sac_wsi.train.base import base_file
from sac_wsi.train.log import events_in, seconds_logged
from sac_wsi.train.report import best_and_worst, curves_of, write_report
from sac_wsi.train.run_folder import LOG, REPORT, SCORES
from sac_wsi.train.validation import score_model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sac_wsi.datasets.images import Images
    from sac_wsi.evaluate.score_images import ScoredImage
    from sac_wsi.model.checkpoint.card import Card
    from sac_wsi.train.config import TrainConfig


def write_run_report(config: TrainConfig, images: Images, best: Path) -> None:
    """Score the weights in ``best`` on the validation images and write both files next to them."""
    model, header = load_model(best, base_file(config.base))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    skip = (lambda error: None) if config.data.skip_bad else None
    scored: list[ImageScores] = []
    shown: list[ScoredImage] = []
    for image in score_model(model.to(device), config, images, device, skip):
        scored.append(image.scores)
        shown = list(chain(*best_and_worst([*shown, image])))  # keep only the images that the page shows
    scores = summarise(scored)
    lines = best.with_name(LOG).read_text(encoding="utf-8").splitlines()
    write_report(
        best.with_name(REPORT),
        title=f"Training of {config.name}",
        facts=_facts(config, header.card, lines),
        curves=curves_of(lines),
        scores=scores,
        images=shown,
    )
    with atomic_file(best.with_name(SCORES), anything) as file:
        file.write(json.dumps(scores.to_json()).encode())


def _facts(config: TrainConfig, card: Card, lines: Iterable[str]) -> dict[str, str]:
    size, data, schedule = config.size, config.data, config.schedule
    with torch.device("meta"):
        parameters = sum(p.numel() for p in build_model(size).parameters())
    encoder = "" if size.family == "unet" else f", {size.encoder}"
    return {
        "Model": f"{size.family}{encoder}, tiles of {size.tile_px} px, {parameters:,} parameters",
        "Learns": f"{config.objective.part}, by {schedule.best_by} on validation images",
        "Starts from": config.base or config.start or "random weights",
        "Data": f"{', '.join(card.training.data)} ({Path(data.images).name or data.kind})",
        "Licence": card.training.licence + ("; non-commercial" if card.training.non_commercial else ""),
        "Best weights": f"{card.training.steps:,} steps",
        "Step": f"{schedule.batch} x {schedule.accumulate} crops of {config.crop_px} px",
        "Precision": schedule.precision,
        "Time": f"{seconds_logged(events_in(lines)) / 60:.1f} min",
        "Machine": _machine(),
        "Code": f"sac-wsi {card.training.code_version}, torch {torch.__version__}",
    }


def _machine() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU {platform.machine()}, {torch.get_num_threads()} threads"
