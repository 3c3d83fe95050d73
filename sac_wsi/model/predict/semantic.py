"""Semantic mode, as in the paper: one decoder call with all points of a tile gives one foreground map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from sac_wsi.model.points.prompts import Points, select
from sac_wsi.model.predict.torch_runner import foreground_logits, torch_runner_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sac_wsi.model.predict.context import TileContext


def semantic_probability(context: TileContext) -> NDArray[np.float32]:
    """Return the probability (h, w) of nuclei; without any point the decoder answers without a prompt."""
    runner, features, points = torch_runner_of(context), context.features, _points(context)
    assert features.embedding is not None
    prompter_logits = foreground_logits(runner, features)
    with torch.inference_mode(), runner.arithmetic():
        xy = torch.from_numpy(points.xy).to(runner.device)[None]
        labels = torch.from_numpy(points.positive.astype(np.int64)).to(runner.device)[None]
        logits = runner.model.semantic(features.embedding, xy, labels, prompter_logits)
        probability: NDArray[np.float32] = logits.sigmoid()[0, 0].cpu().numpy()
    height, width = context.shape_yx
    return probability[:height, :width]


def _points(context: TileContext) -> Points:
    """Return the automatic points of the tile, then the user's points."""
    person, maps, settings = context.person, context.maps, context.settings.points
    of_person = Points(np.ascontiguousarray(person.yx[:, ::-1], np.float32), person.positive)
    if maps is None:
        return of_person
    rng = np.random.default_rng([settings.seed, *context.corner_yx])
    return select(maps[0], settings, rng).concat(of_person)
